//! Columns and where their descriptions come from.

use crate::schema::docs;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Title.
    pub name: &'static str,
    /// `OpenAPI` type: `string`, `integer`, `boolean`, `date`.
    pub type_: &'static str,
    /// `OpenAPI` format; `name` marks the object's name.
    pub format: &'static str,
    /// 0 is shown always, 1 only in wide output.
    pub priority: i32,
    /// What it shows.
    pub doc: Doc,
}

/// A column's description.
#[derive(Debug, Clone, Copy)]
pub enum Doc {
    /// A text of the column's own.
    Text(&'static str),
    /// The documentation of a type's field.
    Field(&'static str, &'static str),
}

impl Doc {
    /// The description.
    pub fn text(self) -> &'static str {
        match self {
            Self::Text(text) => text,
            Self::Field(type_name, field) => docs::of_field(type_name, field),
        }
    }
}

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

pub const NAME: Column = string("Name", Doc::Field(OBJECT_META, "name")).format("name");
pub const AGE: Column = string("Age", Doc::Field(OBJECT_META, "creationTimestamp"));
pub const CREATED_AT: Column = column("Created At", "date", Doc::Field(OBJECT_META, "creationTimestamp"));
pub const CONTAINERS: Column = string("Containers", Doc::Text("Names of each container in the template."));
pub const IMAGES: Column = string("Images", Doc::Text("Images referenced by each container in the template."));

const fn column(name: &'static str, type_: &'static str, doc: Doc) -> Column {
    Column { name, type_, format: "", priority: 0, doc }
}

pub const fn string(name: &'static str, doc: Doc) -> Column {
    column(name, "string", doc)
}

pub const fn integer(name: &'static str, doc: Doc) -> Column {
    column(name, "integer", doc)
}

pub const fn boolean(name: &'static str, doc: Doc) -> Column {
    column(name, "boolean", doc)
}

impl Column {
    /// Marked with an `OpenAPI` format.
    #[must_use]
    pub const fn format(mut self, format: &'static str) -> Self {
        self.format = format;
        self
    }

    /// Shown only in wide output.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}
