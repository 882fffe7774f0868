//! A type as server-side apply sees it: what a value may be, and how those who apply it share it.

use serde_json::Value;

use super::path::{PathElement, Scalar};
use crate::schema::types::{Field, Form, ListType, MapType, Type, ValueType};

/// The type of a place in an object.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'t> {
    /// A named type.
    Type(&'t Type),
    /// A field, whose own word on sharing overrides its type's.
    Field(&'t Field),
    /// An element of a list or a value of a map.
    Value(&'t ValueType),
    /// Anything, owned as a whole.
    Untyped,
    /// Anything: objects are shared member by member, all else is owned as a whole.
    Deduced,
    /// No place at all: the schema does not declare it.
    Undeclared,
}

/// What a value of a type may be; more than one for types without restrictions.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Atom<'t> {
    pub map: Option<MapAtom<'t>>,
    pub scalar: Option<Kind>,
    pub list: Option<ListAtom<'t>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Numeric,
    Text,
    Boolean,
    Untyped,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct MapAtom<'t> {
    /// The declared members.
    pub declared: Option<&'t Type>,
    /// The type of all other members.
    pub others: Shape<'t>,
    pub atomic: bool,
}

impl<'t> MapAtom<'t> {
    pub fn declared(&self, name: &str) -> Option<&'t Field> {
        self.declared.and_then(|ty| ty.field(name))
    }

    pub fn member(&self, name: &str) -> Shape<'t> {
        self.declared(name).map_or(self.others, Shape::Field)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ListAtom<'t> {
    pub element: Shape<'t>,
    pub sharing: &'t ListType,
}

impl ListAtom<'_> {
    pub fn is_atomic(&self) -> bool {
        *self.sharing == ListType::Atomic
    }

    /// The step to an element of a list that is not owned as a whole.
    pub fn step(&self, element: &Value) -> Result<PathElement, String> {
        match self.sharing {
            ListType::Atomic => Err("invalid indexing of non-associative list".to_owned()),
            ListType::Set => match element {
                Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
                Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
                Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
                scalar => Ok(PathElement::Value(Scalar(scalar.clone()))),
            },
            ListType::Map(keys) => self.keyed_step(keys, element),
        }
    }

    fn keyed_step(&self, keys: &[String], element: &Value) -> Result<PathElement, String> {
        let members = match element {
            Value::Object(members) => members,
            Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
            _ => return Err("associative list with keys may not have non-map elements".to_owned()),
        };
        let declared = self.element.atom().map;
        let mut key = Vec::with_capacity(keys.len());
        for name in keys {
            let default = || declared.and_then(|map| map.declared(name)).and_then(|field| field.default.as_ref());
            // A key field without value or default is left out, which is a key of its own.
            if let Some(value) = members.get(name).or_else(default) {
                key.push((name.clone(), Scalar(value.clone())));
            }
        }
        if key.is_empty() && !keys.is_empty() {
            let names: Vec<_> = keys.iter().map(|name| crate::go_syntax::go_quote(name)).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
                 values for any key fields)",
                names.join(" ")
            ));
        }
        key.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(PathElement::Key(key))
    }
}

impl<'t> Shape<'t> {
    /// What a value of the type may be.
    pub(super) fn atom(self) -> Atom<'t> {
        match self {
            Self::Type(ty) => of_type(ty),
            Self::Field(field) => of_field(field),
            Self::Value(value) => of_value(value),
            Self::Untyped => any(Self::Untyped, true),
            Self::Deduced => any(Self::Deduced, false),
            Self::Undeclared => Atom::default(),
        }
    }
}

impl Atom<'_> {
    /// What a given value is, if the type allows it to be that; otherwise all that the type allows.
    pub fn deduce(self, value: &Value) -> Self {
        match value {
            Value::Object(_) if self.map.is_some() => Self { map: self.map, ..Self::default() },
            Value::Array(_) if self.list.is_some() => Self { list: self.list, ..Self::default() },
            Value::Number(_) | Value::String(_) | Value::Bool(_) if self.scalar.is_some() => {
                Self { scalar: self.scalar, ..Self::default() }
            }
            _ => self,
        }
    }

    pub fn same_kinds(&self, other: &Self) -> bool {
        self.map.is_some() == other.map.is_some()
            && self.list.is_some() == other.list.is_some()
            && self.scalar.is_some() == other.scalar.is_some()
    }
}

fn scalar<'t>(kind: Kind) -> Atom<'t> {
    Atom { scalar: Some(kind), ..Atom::default() }
}

fn any(members: Shape<'_>, atomic: bool) -> Atom<'_> {
    Atom {
        map: Some(MapAtom { declared: None, others: members, atomic }),
        scalar: Some(Kind::Untyped),
        list: Some(ListAtom { element: Shape::Untyped, sharing: &ListType::Atomic }),
    }
}

fn of_type(ty: &Type) -> Atom<'_> {
    let atomic = ty.map_type == MapType::Atomic;
    match &ty.form {
        Form::Struct => {
            let others =
                if ty.preserve_unknown_fields || ty.fields.is_empty() { Shape::Deduced } else { Shape::Undeclared };
            Atom { map: Some(MapAtom { declared: Some(ty), others, atomic }), ..Atom::default() }
        }
        Form::Map(value) => {
            Atom { map: Some(MapAtom { declared: None, others: Shape::Value(value), atomic }), ..Atom::default() }
        }
        Form::List(element) => {
            Atom { list: Some(ListAtom { element: Shape::Value(element), sharing: &ty.list_type }), ..Atom::default() }
        }
        Form::Time | Form::MicroTime | Form::Quantity => scalar(Kind::Untyped),
        Form::RawExtension => Shape::Untyped.atom(),
        Form::FieldsV1 => {
            Atom { map: Some(MapAtom { declared: None, others: Shape::Deduced, atomic }), ..Atom::default() }
        }
        // Published without a type, so that anything goes.
        Form::IntOrString
        | Form::Json
        | Form::SchemaOrArray(_)
        | Form::SchemaOrBool(_)
        | Form::SchemaOrStringArray(_) => Shape::Deduced.atom(),
    }
}

fn of_field(field: &Field) -> Atom<'_> {
    match &field.value {
        ValueType::String if field.format.as_deref().is_some_and(|format| !format.is_empty() && format != "byte") => {
            scalar(Kind::Untyped)
        }
        ValueType::List(element) => Atom {
            list: Some(ListAtom { element: Shape::Value(element), sharing: &field.list_type }),
            ..Atom::default()
        },
        value => {
            let mut atom = of_value(value);
            if let (Some(map), Some(stated)) = (&mut atom.map, field.map_type) {
                map.atomic = stated == MapType::Atomic;
            }
            if let Some(list) = &mut atom.list
                && field.list_type != ListType::Atomic
            {
                list.sharing = &field.list_type;
            }
            atom
        }
    }
}

fn of_value(value: &ValueType) -> Atom<'_> {
    match value {
        ValueType::String | ValueType::Bytes => scalar(Kind::Text),
        ValueType::Bool => scalar(Kind::Boolean),
        ValueType::Int32 | ValueType::Int64 | ValueType::Float64 => scalar(Kind::Numeric),
        ValueType::Any => Shape::Deduced.atom(),
        ValueType::Message(ty) => of_type(ty),
        ValueType::List(element) => Atom {
            list: Some(ListAtom { element: Shape::Value(element), sharing: &ListType::Atomic }),
            ..Atom::default()
        },
        ValueType::Map(member) => Atom {
            map: Some(MapAtom { declared: None, others: Shape::Value(member), atomic: false }),
            ..Atom::default()
        },
    }
}
