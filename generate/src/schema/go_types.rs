//! The Go types of struct fields, read from the API's own source files. Decoding errors name them, and no other record
//! of the API has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::Error;

/// Go types of fields, by type and JSON name.
pub struct GoTypes {
    fields: BTreeMap<String, BTreeMap<String, String>>,
}

impl GoTypes {
    /// Reads the packages of the named types below a Kubernetes source tree. The package `io.k8s.api.core.v1` lies in
    /// `staging/src/k8s.io/api/core/v1`.
    pub fn read<'a>(source: &Path, type_names: impl Iterator<Item = &'a String>) -> Result<Self, Error> {
        let packages: BTreeSet<&str> =
            type_names.filter_map(|name| name.strip_prefix("io.k8s.")?.rsplit_once('.')).map(|split| split.0).collect();
        let mut fields = BTreeMap::new();
        for package in packages {
            let directory = source.join("staging/src/k8s.io").join(package.replace('.', "/"));
            let local = package.rsplit('.').next().unwrap_or(package);
            for path in source_files(&directory)? {
                for (name, struct_fields) in structs(&std::fs::read_to_string(&path)?, local) {
                    fields.insert(format!("io.k8s.{package}.{name}"), struct_fields);
                }
            }
        }
        Ok(Self { fields })
    }

    /// The Go type of a field, pointers left out, with the package that it comes from: `v1.PullPolicy`.
    pub fn field(&self, type_name: &str, json_name: &str) -> Option<&str> {
        self.fields.get(type_name)?.get(json_name).map(String::as_str)
    }
}

fn source_files(directory: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let generated = name.starts_with("zz_") || name.starts_with("generated") || name.ends_with("_test.go");
        if path.extension().is_some_and(|extension| extension == "go") && !generated {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The structs of a gofmt-ed file: a field is one line that ends in a tag.
fn structs(text: &str, package: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let imports = imports(text);
    let mut found = Vec::new();
    let mut open: Option<(String, BTreeMap<String, String>)> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("type ").and_then(|rest| rest.strip_suffix(" struct {")) {
            open = Some((name.to_owned(), BTreeMap::new()));
        } else if line == "}" {
            found.extend(open.take());
        } else if let Some((_, fields)) = &mut open
            && let Some((json_name, go_type)) = field(line, package, &imports)
        {
            fields.insert(json_name, go_type);
        }
    }
    found
}

fn field(line: &str, package: &str, imports: &BTreeMap<String, String>) -> Option<(String, String)> {
    let (declaration, tag) = line.split_once('`')?;
    let json_name = tag.split_once("json:\"")?.1.split(['"', ',']).next().filter(|name| !name.is_empty())?;
    let mut words = declaration.split_whitespace();
    let (_, go_type) = (words.next()?, words.next()?);
    Some((json_name.to_owned(), qualify(go_type, package, imports)))
}

/// Spells a type as Go's reflection does: package names instead of import aliases, local names with their package.
fn qualify(go_type: &str, package: &str, imports: &BTreeMap<String, String>) -> String {
    if let Some(pointed) = go_type.strip_prefix('*') {
        return qualify(pointed, package, imports);
    }
    if let Some(element) = go_type.strip_prefix("[]") {
        return format!("[]{}", qualify(element, package, imports));
    }
    if let Some((key, value)) = go_type.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
        return format!("map[{}]{}", qualify(key, package, imports), qualify(value, package, imports));
    }
    match go_type.split_once('.') {
        Some((alias, name)) => format!("{}.{name}", imports.get(alias).map_or(alias, String::as_str)),
        None if go_type == "byte" => "uint8".to_owned(),
        None if go_type.starts_with(char::is_uppercase) => format!("{package}.{go_type}"),
        None => go_type.to_owned(),
    }
}

/// Package names by the alias under which a file imports them.
fn imports(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .take_while(|line| !line.starts_with("type "))
        .filter_map(|line| {
            let (alias, path) = line.trim().trim_start_matches("import ").split_once('"')?;
            let package = path.trim_end_matches('"').rsplit('/').next()?;
            let alias = if alias.trim().is_empty() { package } else { alias.trim() };
            Some((alias.to_owned(), package.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_types_of_fields() {
        let text = "package v1\nimport (\n\tmetav1 \"k8s.io/apimachinery/pkg/apis/meta/v1\"\n\t\"k8s.io/apimachinery/pkg/types\"\n)\n\
            type A struct {\n\tmetav1.TypeMeta `json:\",inline\"`\n\t// text\n\tUID *types.UID `json:\"uid,omitempty\" protobuf:\"bytes,1\"`\n\
            \tList []Mode `json:\"list\"`\n\tTimes map[Mode]metav1.Time `json:\"times\"`\n\tData map[string][]byte `json:\"data\"`\n}\n";
        let found = structs(text, "v1");
        let expected = [
            ("data", "map[string][]uint8"),
            ("list", "[]v1.Mode"),
            ("times", "map[v1.Mode]v1.Time"),
            ("uid", "types.UID"),
        ];
        let fields: Vec<_> = found[0].1.iter().map(|(name, go)| (name.as_str(), go.as_str())).collect();
        assert_eq!(found[0].0, "A");
        assert_eq!(fields, expected);
    }
}
