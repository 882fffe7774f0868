//! The decoder: one pass over a checked text, led by the schema, straight into served form.

use serde_json::{Map, Value};

use crate::codec::base64;
use crate::codec::time::{Instant, Layout};
use crate::go_syntax::go_quote;
use crate::object::quantity::Quantity;
use crate::schema::complete::{finish, zero};
use crate::schema::types::{Form, Type, TypeRef, ValueType};

use super::walk::Walk;
use super::{DecodeError, number, scan};

/// What to do about unknown and duplicate fields (`?fieldValidation=`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and tell.
    #[default]
    Warn,
    /// Refuse the object.
    Strict,
}

/// A decoded object.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The object in served form.
    pub object: Value,
    /// Unknown and duplicate fields, one text each, with [`FieldValidation::Warn`].
    pub warnings: Vec<String>,
}

/// The `kind` and `apiVersion` that a text claims; empty where it claims none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeMeta {
    /// `version` or `group/version`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
}

/// Unknown and duplicate fields that are told of at most, so that a hostile text cannot have the server list millions.
const FAULTS_MAX: usize = 100;

/// Decodes a text as a value of a type.
pub fn decode(data: &[u8], ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    decode_with(data, validation, |decoder| {
        let mut object = Value::Null;
        if decoder.text.peek() == Some(b'{') || !ty.is_struct() {
            decoder.named(ty, &mut object)?;
        } else {
            decoder.refuse(&ty.go_name);
        }
        Ok(object)
    })
}

/// Decodes a text whose type is not known: an object with whatever is in it.
pub fn decode_unstructured(data: &[u8], validation: FieldValidation) -> Result<Decoded, DecodeError> {
    decode_with(data, validation, |decoder| {
        if decoder.text.peek() != Some(b'{') {
            decoder.refuse("map[string]interface {}");
            return Ok(Value::Null);
        }
        Ok(decoder.any())
    })
}

/// Decodes a text that may be any value.
pub fn decode_any(data: &[u8], validation: FieldValidation) -> Result<Decoded, DecodeError> {
    decode_with(data, validation, |decoder| Ok(decoder.any()))
}

/// Reads the kind that a text claims, before its type is known. Other fields are not looked at; names match in any case.
pub fn type_meta(data: &[u8]) -> Result<TypeMeta, DecodeError> {
    let prefixed =
        |error: DecodeError| DecodeError::Syntax(format!("couldn't get version/kind; json parse error: {error}"));
    scan::check(data).map_err(prefixed)?;
    let mut decoder = Decoder::new(data, false);
    decoder.type_meta().map_err(prefixed)
}

fn decode_with<'t>(
    data: &'t [u8],
    validation: FieldValidation,
    read: impl FnOnce(&mut Decoder<'t>) -> Result<Value, DecodeError>,
) -> Result<Decoded, DecodeError> {
    scan::check(data)?;
    let mut decoder = Decoder::new(data, validation != FieldValidation::Ignore);
    let object = read(&mut decoder)?;
    if let Some(error) = decoder.saved {
        return Err(error);
    }
    if validation == FieldValidation::Strict && !decoder.faults.is_empty() {
        return Err(DecodeError::Strict(decoder.faults));
    }
    Ok(Decoded { object, warnings: decoder.faults })
}

/// The Go name of the type that a value is decoded into.
#[derive(Clone, Copy)]
enum GoType<'t> {
    /// As the API's source spells it.
    Named(&'t str),
    /// As it follows from the schema.
    Derived,
}

impl GoType<'_> {
    /// The elements' type. The elements of a named list or map type are as the schema says.
    fn element(self) -> Self {
        let Self::Named(name) = self else { return self };
        let element =
            name.strip_prefix("[]").or_else(|| name.strip_prefix("map[")?.split_once(']').map(|split| split.1));
        element.map_or(Self::Derived, Self::Named)
    }

    fn spell(self, ty: &ValueType) -> String {
        match (self, ty) {
            (Self::Named(name), _) => name.to_owned(),
            (Self::Derived, ValueType::String) => "string".to_owned(),
            (Self::Derived, ValueType::Bool) => "bool".to_owned(),
            (Self::Derived, ValueType::Int32) => "int32".to_owned(),
            (Self::Derived, ValueType::Int64) => "int64".to_owned(),
            (Self::Derived, ValueType::Float64) => "float64".to_owned(),
            (Self::Derived, ValueType::Bytes) => "[]uint8".to_owned(),
            (Self::Derived, ValueType::Any) => "interface {}".to_owned(),
            (Self::Derived, ValueType::Message(ty)) => ty.go_name.clone(),
            (Self::Derived, ValueType::List(item)) => format!("[]{}", self.spell(item)),
            (Self::Derived, ValueType::Map(item)) => format!("map[string]{}", self.spell(item)),
        }
    }
}

struct Decoder<'t> {
    text: Walk<'t>,
    /// Whether unknown and duplicate fields are noted.
    strict: bool,
    /// The unknown and duplicate fields, as texts.
    faults: Vec<String>,
    /// The path of the current value, as faults spell it: `spec.containers[0].name`.
    path: String,
    /// The path of the current field, as mismatches spell it: no indexes, names of inlined structs.
    go_path: String,
    /// The struct that the current field is in.
    structure: String,
    /// The first value that did not fit its field. Decoding goes on, since a worse error may follow.
    saved: Option<DecodeError>,
}

impl<'t> Decoder<'t> {
    fn new(data: &'t [u8], strict: bool) -> Self {
        let (faults, path, go_path, structure) = Default::default();
        Self { text: Walk::new(data), strict, faults, path, go_path, structure, saved: None }
    }

    /// Decodes a value into `slot`, which holds null or what an earlier duplicate left. Null stands for nil and for
    /// "not set".
    fn value(&mut self, ty: &ValueType, go: GoType<'_>, pointer: bool, slot: &mut Value) -> Result<(), DecodeError> {
        let Some(first) = self.text.peek() else { return Ok(()) };
        if first == b'n' {
            return self.null(ty, pointer, slot);
        }
        match (ty, first) {
            (ValueType::Message(ty), _) if !matches!(ty.form, Form::List(_) | Form::Map(_)) => {
                if ty.is_struct() && first != b'{' {
                    self.refuse(&go.spell(&ValueType::Message(ty.clone())));
                    Ok(())
                } else {
                    self.named(ty, slot)
                }
            }
            (ValueType::Message(ty), _) => self.collection(ty, slot),
            (ValueType::List(item), b'[') => self.list(item, go.element(), slot),
            (ValueType::Map(item), b'{') => self.map(item, go.element(), slot),
            (ValueType::Any, _) => {
                *slot = self.any();
                Ok(())
            }
            (ValueType::String, b'"') => {
                *slot = Value::String(self.text.string().into_owned());
                Ok(())
            }
            (ValueType::Bytes, b'"') => {
                self.bytes(slot);
                Ok(())
            }
            (ValueType::Bool, b't' | b'f') => {
                *slot = Value::Bool(first == b't');
                self.text.skip();
                Ok(())
            }
            (ValueType::Int32 | ValueType::Int64 | ValueType::Float64, b'-' | b'0'..=b'9') => {
                self.number(ty, go, slot);
                Ok(())
            }
            _ => {
                self.refuse(&go.spell(ty));
                Ok(())
            }
        }
    }

    /// Null makes nil of what can be nil; other values stay as they are.
    fn null(&mut self, ty: &ValueType, pointer: bool, slot: &mut Value) -> Result<(), DecodeError> {
        self.text.skip();
        let clears = match ty {
            ValueType::List(_) | ValueType::Map(_) | ValueType::Bytes | ValueType::Any => true,
            ValueType::Message(ty) => match ty.form {
                Form::SchemaOrBool(_) if !pointer => {
                    return Err(DecodeError::Invalid("boolean or JSON schema expected".to_owned()));
                }
                Form::Struct | Form::RawExtension | Form::FieldsV1 | Form::Json => false,
                // Null is an integer that is not given.
                Form::IntOrString => slot.is_string(),
                _ => true,
            },
            _ => false,
        };
        if pointer || clears {
            *slot = Value::Null;
        }
        Ok(())
    }

    /// A list or map that has a name of its own.
    fn collection(&mut self, ty: &TypeRef, slot: &mut Value) -> Result<(), DecodeError> {
        match (&ty.form, self.text.peek()) {
            (Form::List(item), Some(b'[')) => self.list(item, GoType::Derived, slot),
            (Form::Map(item), Some(b'{')) => self.map(item, GoType::Derived, slot),
            _ => {
                self.refuse(&ty.go_name);
                Ok(())
            }
        }
    }

    /// A struct, or a value that reads itself: its errors end the decoding.
    fn named(&mut self, ty: &Type, slot: &mut Value) -> Result<(), DecodeError> {
        let first = self.text.peek().unwrap_or_default();
        match &ty.form {
            Form::Struct => return self.object(ty, slot),
            Form::List(item) => return self.list(item, GoType::Derived, slot),
            Form::Map(item) => return self.map(item, GoType::Derived, slot),
            Form::Time | Form::MicroTime if first != b'"' => return Err(self.mismatch("string")),
            Form::Time => *slot = time(&self.text.string(), Layout::Seconds)?,
            Form::MicroTime => *slot = time(&self.text.string(), Layout::Micros)?,
            Form::Quantity => {
                let raw = String::from_utf8_lossy(self.text.skip());
                let unquoted = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(&raw);
                let canonical = Quantity::canonical(unquoted.trim());
                *slot = Value::String(canonical.map_err(|error| DecodeError::Invalid(error.to_string()))?);
            }
            Form::IntOrString if first == b'"' => *slot = Value::String(self.text.string().into_owned()),
            Form::IntOrString => {
                let integer = self.text.literal().parse::<i32>();
                *slot = Value::from(integer.map_err(|_| self.mismatch_exact("int32"))?);
                self.text.skip();
            }
            Form::RawExtension | Form::FieldsV1 | Form::Json => {
                let strict = std::mem::replace(&mut self.strict, false);
                *slot = self.any();
                self.strict = strict;
            }
            Form::SchemaOrArray(schema) | Form::SchemaOrBool(schema) | Form::SchemaOrStringArray(schema) => {
                return self.schema_or(&ty.form, schema, first, slot);
            }
        }
        Ok(())
    }

    /// A schema or something else. It reads itself by a decoder of its own, which notes no faults and whose mismatch
    /// ends this one.
    fn schema_or(&mut self, form: &Form, schema: &TypeRef, first: u8, slot: &mut Value) -> Result<(), DecodeError> {
        let (strict, saved) = (std::mem::replace(&mut self.strict, false), self.saved.take());
        *slot = Value::Null;
        match (form, first) {
            (_, b'{') => self.object(schema, slot)?,
            (Form::SchemaOrArray(_), b'[') => self.list(&ValueType::Message(schema.clone()), GoType::Derived, slot)?,
            (Form::SchemaOrStringArray(_), b'[') => self.list(&ValueType::String, GoType::Derived, slot)?,
            (Form::SchemaOrBool(_), b't' | b'f') => {
                *slot = Value::Bool(first == b't');
                self.text.skip();
            }
            (Form::SchemaOrBool(_), _) => {
                return Err(DecodeError::Invalid("boolean or JSON schema expected".to_owned()));
            }
            _ => {
                self.text.skip();
            }
        }
        self.strict = strict;
        std::mem::replace(&mut self.saved, saved).map_or(Ok(()), Err)
    }

    fn object(&mut self, ty: &Type, slot: &mut Value) -> Result<(), DecodeError> {
        let mut map = taken_map(slot);
        let mut seen = vec![false; if self.strict { ty.fields.len() } else { 0 }];
        let (path, go_path) = (self.path.len(), self.go_path.len());
        let outer = std::mem::take(&mut self.structure);
        self.text.open();
        while let Some(key) = self.text.key() {
            let known = ty.position(&key).and_then(|at| ty.fields.get(at).map(|field| (at, field)));
            if let Some((at, field)) = known {
                match seen.get_mut(at) {
                    Some(true) => self.fault("duplicate field", &key),
                    Some(seen) => *seen = true,
                    None => {}
                }
                ty.short_go_name().clone_into(&mut self.structure);
                join(&mut self.go_path, &field.embedded);
                join(&mut self.go_path, &field.name);
                join(&mut self.path, &key);
                let go = field.go_type.as_deref().map_or(GoType::Derived, GoType::Named);
                let inner = map.entry(field.name.as_str()).or_insert(Value::Null);
                self.value(&field.value, go, field.pointer, inner)?;
                if inner.is_null() {
                    map.remove(&field.name);
                }
                self.path.truncate(path);
                self.go_path.truncate(go_path);
            } else {
                self.fault("unknown field", &key);
                self.text.skip();
            }
            self.text.separator();
        }
        self.structure = outer;
        finish(&mut map, ty);
        *slot = Value::Object(map);
        Ok(())
    }

    fn map(&mut self, item: &ValueType, go: GoType<'_>, slot: &mut Value) -> Result<(), DecodeError> {
        let mut map = taken_map(slot);
        let mut seen = std::collections::HashSet::new();
        let path = self.path.len();
        self.text.open();
        while let Some(key) = self.text.key() {
            if self.strict && !seen.insert(key.clone()) {
                self.fault("duplicate field", &key);
            }
            join(&mut self.path, &key);
            let element = self.element(item, go, Value::Null)?;
            map.insert(key.into_owned(), element);
            self.path.truncate(path);
            self.text.separator();
        }
        *slot = Value::Object(map);
        Ok(())
    }

    fn list(&mut self, item: &ValueType, go: GoType<'_>, slot: &mut Value) -> Result<(), DecodeError> {
        // A duplicate of a list is decoded over the elements of the first.
        let mut earlier = if let Value::Array(items) = slot.take() { items } else { Vec::new() }.into_iter();
        let mut items = Vec::new();
        let path = self.path.len();
        self.text.open();
        while !self.text.close(b']') {
            join_index(&mut self.path, items.len());
            items.push(self.element(item, go, earlier.next().unwrap_or_default())?);
            self.path.truncate(path);
            self.text.separator();
        }
        *slot = Value::Array(items);
        Ok(())
    }

    /// An element is a value, never "not set".
    fn element(&mut self, ty: &ValueType, go: GoType<'_>, mut slot: Value) -> Result<Value, DecodeError> {
        self.value(ty, go, false, &mut slot)?;
        Ok(if slot.is_null() { zero(ty) } else { slot })
    }

    /// A value of no known type.
    fn any(&mut self) -> Value {
        let path = self.path.len();
        match self.text.peek() {
            Some(b'{') => {
                let mut map = Map::new();
                self.text.open();
                while let Some(key) = self.text.key() {
                    if map.contains_key(key.as_ref()) {
                        self.fault("duplicate field", &key);
                    }
                    join(&mut self.path, &key);
                    let value = self.any();
                    map.insert(key.into_owned(), value);
                    self.path.truncate(path);
                    self.text.separator();
                }
                Value::Object(map)
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.text.open();
                while !self.text.close(b']') {
                    join_index(&mut self.path, items.len());
                    items.push(self.any());
                    self.path.truncate(path);
                    self.text.separator();
                }
                Value::Array(items)
            }
            Some(b'"') => Value::String(self.text.string().into_owned()),
            Some(b't' | b'f') => Value::Bool(self.text.skip() == b"true"),
            Some(b'-' | b'0'..=b'9') => {
                let number = number::untyped(&self.text.literal());
                if number.is_none() {
                    let error = self.mismatch_exact("float64");
                    self.saved.get_or_insert(error);
                }
                self.text.skip();
                number.unwrap_or_default()
            }
            _ => {
                self.text.skip();
                Value::Null
            }
        }
    }

    fn number(&mut self, ty: &ValueType, go: GoType<'_>, slot: &mut Value) {
        let text = self.text.literal();
        let number = match ty {
            ValueType::Int32 => text.parse::<i32>().ok().map(Value::from),
            ValueType::Int64 => text.parse::<i64>().ok().map(Value::from),
            _ => number::float(&text).map(Value::Number),
        };
        if let Some(number) = number {
            *slot = number;
        } else {
            let error = self.mismatch_exact(&go.spell(ty));
            self.saved.get_or_insert(error);
        }
        self.text.skip();
    }

    fn bytes(&mut self, slot: &mut Value) {
        match base64::decode(&self.text.string()) {
            Ok(bytes) => *slot = Value::String(base64::encode(&bytes)),
            Err(error) => {
                self.saved.get_or_insert(DecodeError::Invalid(error.to_string()));
            }
        }
    }

    fn type_meta(&mut self) -> Result<TypeMeta, DecodeError> {
        let mut meta = TypeMeta::default();
        let first = self.text.peek();
        if first != Some(b'{') {
            let target = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
            return if first == Some(b'n') { Ok(meta) } else { Err(self.mismatch(target)) };
        }
        self.text.open();
        while let Some(key) = self.text.key() {
            let target = match () {
                () if key.eq_ignore_ascii_case("apiVersion") => Some(("apiVersion", &mut meta.api_version)),
                () if key.eq_ignore_ascii_case("kind") => Some(("kind", &mut meta.kind)),
                () => None,
            };
            match (target, self.text.peek()) {
                (Some((_, target)), Some(b'"')) => *target = self.text.string().into_owned(),
                (Some((name, _)), Some(first)) if first != b'n' => {
                    name.clone_into(&mut self.go_path);
                    self.refuse("string");
                    self.go_path.clear();
                }
                _ => {
                    self.text.skip();
                }
            }
            self.text.separator();
        }
        self.saved.take().map_or(Ok(meta), Err)
    }

    /// Notes a value that does not fit, unless one was noted before, and goes past it.
    fn refuse(&mut self, target: &str) {
        let error = self.mismatch(target);
        self.saved.get_or_insert(error);
        self.text.skip();
    }

    /// The error for the current value, which is of another kind than the target.
    fn mismatch(&self, target: &str) -> DecodeError {
        let value = match self.text.peek() {
            Some(b'{') => "object",
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "bool",
            Some(b'n') => "null",
            _ => "number",
        };
        self.mismatched(value.to_owned(), target)
    }

    /// The error for the current value, a number that the target cannot hold; other kinds are named without their value.
    fn mismatch_exact(&self, target: &str) -> DecodeError {
        match self.text.peek() {
            Some(b'-' | b'0'..=b'9') => self.mismatched(format!("number {}", self.text.literal()), target),
            _ => self.mismatch(target),
        }
    }

    fn mismatched(&self, value: String, target: &str) -> DecodeError {
        DecodeError::Mismatch {
            value,
            target: target.to_owned(),
            structure: self.structure.clone(),
            path: self.go_path.clone(),
        }
    }

    fn fault(&mut self, what: &str, name: &str) {
        if !self.strict || self.faults.len() >= FAULTS_MAX {
            return;
        }
        let mut path = self.path.clone();
        join(&mut path, name);
        let fault = format!("{what} {}", go_quote(&path));
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

fn time(text: &str, layout: Layout) -> Result<Value, DecodeError> {
    let instant = Instant::parse(text, layout).map_err(DecodeError::Invalid)?;
    Ok(if instant == Instant::ZERO { Value::Null } else { Value::String(instant.format(layout)) })
}

/// Appends a name to a path.
fn join(path: &mut String, name: &str) {
    if name.is_empty() {
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Appends an index to a path.
fn join_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}

fn taken_map(slot: &mut Value) -> Map<String, Value> {
    if let Value::Object(map) = slot.take() { map } else { Map::new() }
}
