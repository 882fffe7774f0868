//! The schema tree: what the server knows of a type, once, for every codec, patch and document that is derived from it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::registry::GroupVersionKind;

/// A type of the API: a struct with its fields, or a form with an encoding of its own.
#[derive(Debug, Default)]
pub struct Type {
    /// The name under which `OpenAPI` publishes the type, such as `io.k8s.api.core.v1.Pod`.
    pub name: String,
    /// The type's name with its Go package, such as `v1.Pod`, as decoding errors spell it.
    pub go_name: String,
    /// How a value of the type is written.
    pub form: Form,
    /// The kinds that the type stands for (`x-kubernetes-group-version-kind`).
    pub kinds: Vec<GroupVersionKind>,
    /// A struct's fields in the order in which the server writes them, those of inlined structs in their place.
    pub fields: Vec<Field>,
    /// A struct's protobuf members in ascending number.
    pub members: Vec<Member>,
    /// How appliers share a list form (`Form::List`).
    pub list_type: ListType,
    /// How appliers share the fields of a value of this type.
    pub map_type: MapType,
    /// Discriminated unions, as `x-kubernetes-unions` describes them.
    pub unions: Vec<Value>,
    /// Fields that the schema does not know are kept (`x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown_fields: bool,
    /// A custom resource's type: objects are written in key order and keep what their schema keeps.
    pub custom: bool,
    /// Positions of `fields`, ordered by name.
    pub(crate) by_name: Vec<u16>,
    /// Positions of the fields that are always written; made on first use, since it takes the types of the fields.
    pub(crate) always_written: OnceLock<Vec<usize>>,
}

impl Type {
    /// Orders the name index. Whoever builds a type calls this after the last field is in place.
    pub fn seal(&mut self) {
        let mut by_name: Vec<u16> = (0..u16::MAX).take(self.fields.len()).collect();
        by_name.sort_by(|a, b| self.name_at(*a).cmp(self.name_at(*b)));
        self.by_name = by_name;
    }

    /// The field with the given JSON name; names are case-sensitive.
    pub fn field(&self, json_name: &str) -> Option<&Field> {
        self.position(json_name).and_then(|at| self.fields.get(at))
    }

    /// The position in `fields` of the field with the given JSON name.
    pub fn position(&self, json_name: &str) -> Option<usize> {
        let at = self.by_name.binary_search_by(|at| self.name_at(*at).cmp(json_name)).ok()?;
        self.by_name.get(at).map(|at| usize::from(*at))
    }

    /// The fields that are written even where they are not set.
    pub fn always_written(&self) -> impl Iterator<Item = &Field> {
        let made = || (0..self.fields.len()).filter(|at| self.fields.get(*at).is_some_and(Field::is_always_written));
        self.always_written.get_or_init(|| made().collect()).iter().filter_map(|at| self.fields.get(*at))
    }

    /// Whether the type is a struct, whose fields have names.
    pub fn is_struct(&self) -> bool {
        matches!(self.form, Form::Struct)
    }

    /// The Go name without its package, such as `Pod`.
    pub fn short_go_name(&self) -> &str {
        self.go_name.rsplit('.').next().unwrap_or(&self.go_name)
    }

    fn name_at(&self, at: u16) -> &str {
        self.fields.get(usize::from(at)).map_or("", |field| field.name.as_str())
    }
}

/// A shared reference to a [`Type`]: types refer to each other, and some to themselves.
#[derive(Clone)]
pub enum TypeRef {
    /// A type of the built-in table.
    Builtin(&'static OnceLock<Type>),
    /// A type made at run time, for a custom resource.
    Dynamic(Arc<Type>),
}

impl TypeRef {
    /// A reference to a type made at run time; its name index is ordered here.
    pub fn dynamic(mut ty: Type) -> Self {
        ty.seal();
        Self::Dynamic(Arc::new(ty))
    }

    /// Whether both refer to the very same type.
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq::<Type>(&raw const **self, &raw const **other)
    }
}

impl Deref for TypeRef {
    type Target = Type;

    fn deref(&self) -> &Type {
        match self {
            Self::Builtin(cell) => cell.get_or_init(Type::default),
            Self::Dynamic(ty) => ty,
        }
    }
}

impl fmt::Debug for TypeRef {
    /// Names the type only: types are recursive.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeRef({})", self.name)
    }
}

/// One field of a struct.
#[allow(clippy::struct_excessive_bools, reason = "each is one independent mark of the API's own field")]
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// JSON name.
    pub name: String,
    /// Protobuf field number; 0 where the message has none: `kind`, `apiVersion`, fields of inlined structs (see
    /// [`Type::members`]) and of custom resources.
    pub tag: u32,
    /// Go names of the structs through which the field is inlined, such as `VolumeSource`; decoding errors have them in
    /// their paths.
    pub embedded: String,
    /// What the field holds.
    pub value: ValueType,
    /// Absence differs from the zero value: the field is a pointer in the API's own types.
    pub pointer: bool,
    /// An empty value (false, 0, "", no element, nil pointer) is not written. A struct is never empty.
    pub omit_empty: bool,
    /// A zero value is not written, structs included (Go's `omitzero`).
    pub omit_zero: bool,
    /// How appliers share a list.
    pub list_type: ListType,
    /// The published schema says how a list is shared, rather than leaving it to the default.
    pub states_list_type: bool,
    /// How appliers share a map or struct, where the field says it differently from the type; see [`Field::is_atomic`].
    pub map_type: Option<MapType>,
    /// How a strategic merge patch treats the field.
    pub patch_strategy: PatchStrategy,
    /// The key by which a strategic merge patch matches elements.
    pub patch_merge_key: Option<String>,
    /// The default that the published schema states.
    pub default: Option<Value>,
    /// The values that the published schema allows, if it names them.
    pub enum_values: Vec<String>,
    /// The `OpenAPI` format, such as `int32` or `byte`.
    pub format: Option<String>,
    /// The published schema says that the field must be present.
    pub required: bool,
    /// The Go type with its package where it is a named scalar, such as `v1.PullPolicy`, as decoding errors spell it.
    pub go_type: Option<String>,
}

impl Field {
    /// Whether the field is a map or struct that one applier owns as a whole, by its own word or else by its type's.
    pub fn is_atomic(&self) -> bool {
        let of_type = || match &self.value {
            ValueType::Message(ty) => ty.map_type,
            _ => MapType::Granular,
        };
        self.map_type.unwrap_or_else(of_type) == MapType::Atomic
    }

    /// Whether something is written for the field even where it is not set: null, a zero scalar, or a struct, which Go
    /// takes to be never empty.
    pub fn is_always_written(&self) -> bool {
        !self.omit_zero && !(self.omit_empty && (self.pointer || self.value.can_be_empty()))
    }

    /// The struct type of the field's value, or of the elements of its list or map.
    pub fn element_type(&self) -> Option<&TypeRef> {
        self.value.element_type()
    }
}

/// A member of a protobuf message.
#[derive(Debug, Clone)]
pub enum Member {
    /// The field at this position of [`Type::fields`].
    Field(u16),
    /// A struct that is flat in JSON and nested in protobuf under this number.
    Inline(u32, TypeRef),
}

/// How values of a type are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Form {
    /// A JSON object with the type's fields, a protobuf message.
    #[default]
    Struct,
    /// A JSON array; in protobuf a message with `repeated items = 1`.
    List(ValueType),
    /// A JSON object with free keys (custom resources only).
    Map(ValueType),
    /// An RFC 3339 time in UTC, to the second; `null` where it is zero.
    Time,
    /// An RFC 3339 time in UTC, to the microsecond; `null` where it is zero.
    MicroTime,
    /// A decimal number with a unit suffix.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// Any JSON value, kept as it is (`RawExtension`).
    RawExtension,
    /// A set of fields, kept as raw JSON.
    FieldsV1,
    /// Any JSON value (`apiextensions` `JSON`).
    Json,
    /// A schema (of this type) or a list of schemas.
    SchemaOrArray(TypeRef),
    /// A schema (of this type) or a boolean.
    SchemaOrBool(TypeRef),
    /// A schema (of this type) or a list of strings.
    SchemaOrStringArray(TypeRef),
}

/// What a field, an element of a list, or a value of a map holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ValueType {
    /// A string.
    #[default]
    String,
    /// A boolean.
    Bool,
    /// A signed integer of 32 bits.
    Int32,
    /// A signed integer of 64 bits.
    Int64,
    /// A floating-point number.
    Float64,
    /// Bytes: base64 in JSON.
    Bytes,
    /// Any JSON value.
    Any,
    /// A value of a named type.
    Message(TypeRef),
    /// A list.
    List(Box<ValueType>),
    /// A map with string keys.
    Map(Box<ValueType>),
}

impl ValueType {
    /// Whether the value has a form that `omitempty` leaves out. Go's structs have none, whatever is in them; neither
    /// have times and quantities, which are structs.
    pub fn can_be_empty(&self) -> bool {
        !matches!(self, Self::Message(ty) if !matches!(ty.form, Form::List(_) | Form::Map(_)))
    }

    /// The named type of the value, or of the elements of the list or map.
    pub fn element_type(&self) -> Option<&TypeRef> {
        match self {
            Self::Message(ty) => Some(ty),
            Self::List(inner) | Self::Map(inner) => inner.element_type(),
            _ => None,
        }
    }
}

impl PartialEq for TypeRef {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Eq for TypeRef {}

/// How appliers share a list (`x-kubernetes-list-type`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListType {
    /// One applier owns the whole list.
    #[default]
    Atomic,
    /// Scalars, each owned on its own.
    Set,
    /// Objects told apart by these keys, each owned on its own.
    Map(Vec<String>),
}

/// How appliers share a map or struct (`x-kubernetes-map-type`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MapType {
    /// Each field is owned on its own.
    #[default]
    Granular,
    /// One applier owns the whole.
    Atomic,
}

/// How a strategic merge patch treats a field (`x-kubernetes-patch-strategy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PatchStrategy {
    /// Lists are replaced, structs and maps are merged.
    #[default]
    None,
    /// Lists are merged by key or, for scalars, by value.
    Merge,
    /// The value is replaced.
    Replace,
    /// Keys that the patch does not name are dropped.
    RetainKeys,
    /// Lists are merged by key, and in each element keys that the patch does not name are dropped.
    MergeRetainKeys,
}
