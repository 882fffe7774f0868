//! Label selectors.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::parse;
use crate::go_syntax::go_quote as quote;
use crate::limits::SELECTOR_BYTES_MAX;
use crate::validation::formats;

/// A set of labels that a selector can look into.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<T: Labels> Labels for Option<T> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref().and_then(|labels| labels.label(key))
    }
}

impl<T: Labels + ?Sized> Labels for &T {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

/// How a requirement relates a label to its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `key=value`
    Equals,
    /// `key==value`, the same as `=`.
    DoubleEquals,
    /// `key!=value`; an absent label is not equal.
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`; an absent label is in no set.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>1`
    GreaterThan,
    /// `key<1`
    LessThan,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// A requirement, checked as `labels.NewRequirement` does; the error is its message.
    pub fn new(key: impl Into<String>, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        let key = key.into();
        let mut errors = Vec::new();
        if let Some(detail) = label_key_problem(&key) {
            errors.push(format!("key: Invalid value: {}: {detail}", quote(&key)));
        }
        if let Some(detail) = count_problem(operator, values.len()) {
            let listed = values.iter().map(|value| quote(value)).collect::<Vec<_>>().join(",");
            errors.push(format!("values: Invalid value: [{listed}]: {detail}"));
        }
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (index, value) in values.iter().enumerate() {
                if value.parse::<i64>().is_err() {
                    let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                    errors.push(format!("values[{index}]: Invalid value: {}: {detail}", quote(value)));
                }
            }
        }
        for (index, value) in values.iter().enumerate() {
            if let Some(detail) = label_value_problem(value) {
                errors.push(format!("values[{index}][{key}]: Invalid value: {}: {detail}", quote(value)));
            }
        }
        match errors.len() {
            0 => Ok(Self { key, operator, values }),
            1 => Err(errors.concat()),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }

    /// The label that the requirement is about.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the label must relate to the values.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values that the label is compared with.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether labels meet the requirement.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        let label = labels.label(&self.key);
        let listed = |label: &str| self.values.iter().any(|value| value == label);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => label.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !label.is_some_and(listed),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let number = |text: &str| text.parse::<i64>().ok();
                match (label.and_then(number), self.values.first().map(String::as_str).and_then(number)) {
                    (Some(label), Some(bound)) if self.operator == Operator::GreaterThan => label > bound,
                    (Some(label), Some(bound)) => label < bound,
                    _ => false,
                }
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A label selector: all of its requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// Ordered by key.
    requirements: Vec<Requirement>,
    matches_nothing: bool,
}

impl LabelSelector {
    /// The selector that matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The selector that matches no object.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), matches_nothing: true }
    }

    /// A selector of the given requirements.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, matches_nothing: false }
    }

    /// Parses the text of a `labelSelector` parameter; the error is the message of the 400 that answers it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(format!("label selector is longer than {SELECTOR_BYTES_MAX} bytes"));
        }
        parse::requirements(text).map(Self::new)
    }

    /// A selector from a `metav1.LabelSelector` object. An absent one matches nothing, an empty one everything.
    pub fn from_object(selector: Option<&Value>) -> Result<Self, String> {
        let Some(selector) = selector.and_then(Value::as_object) else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
            for (key, value) in labels {
                let value = value.as_str().unwrap_or_default().to_owned();
                requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
            }
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| expression.get(name).and_then(Value::as_str).unwrap_or_default();
            let operator = match text("operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{} is not a valid label selector operator", quote(other))),
            };
            let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
            let values = values.map(|value| value.as_str().unwrap_or_default().to_owned()).collect();
            requirements.push(Requirement::new(text("key"), operator, values)?);
        }
        Ok(Self::new(requirements))
    }

    /// A selector that asks for exactly these labels, unchecked.
    pub fn from_labels(labels: &Map<String, Value>) -> Self {
        Self::new(
            labels
                .iter()
                .map(|(key, value)| Requirement {
                    key: key.clone(),
                    operator: Operator::Equals,
                    values: vec![value.as_str().unwrap_or_default().to_owned()],
                })
                .collect(),
        )
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        !self.matches_nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether the selector matches every object.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.matches_nothing
    }

    /// Whether the selector matches no object, whatever its labels.
    pub fn is_nothing(&self) -> bool {
        self.matches_nothing
    }

    /// The requirements, ordered by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The one value that the selector allows a label, if its first requirement on the label names one.
    pub fn required_value(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

/// What is wrong with the number of values for an operator.
fn count_problem(operator: Operator, count: usize) -> Option<&'static str> {
    match operator {
        Operator::In | Operator::NotIn => {
            (count == 0).then_some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => {
            (count != 1).then_some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist => {
            (count != 0).then_some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan => {
            (count != 1).then_some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
    }
}

/// What is wrong with a label's key.
pub(super) fn label_key_problem(key: &str) -> Option<String> {
    Some(formats::label_key(key)).filter(|problems| !problems.is_empty()).map(|problems| problems.join("; "))
}

/// What is wrong with a label's value.
fn label_value_problem(value: &str) -> Option<String> {
    Some(formats::label_value(value)).filter(|problems| !problems.is_empty()).map(|problems| problems.join("; "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn label_selectors_print_canonically() {
        for (text, want) in [
            ("", ""),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("z==1,!a , b", "!a,b,z==1"),
            ("x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()"),
            ("x in (,)", "x in ()"),
            ("x=", "x="),
            ("x!=,z=a", "x!=,z=a"),
            ("x > 1,y<2", "x>1,y<2"),
            ("in in (in,notin)", "in in (in,notin)"),
            ("notin", "notin"),
            ("a.b/c = d", "a.b/c=d"),
        ] {
            assert_eq!(
                LabelSelector::parse(text).map(|selector| selector.to_string()),
                Ok(want.to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn label_selectors_say_what_is_wrong() {
        for (text, want) in [
            ("==x", "found '==', expected: !, identifier, or 'end of string'"),
            ("x==a==b", "found '==', expected: ',' or 'end of string'"),
            ("!x=a", "found '=', expected: ',' or 'end of string'"),
            ("x,", "found '', expected: identifier after ','"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("x=a=", "found '=', expected: ',' or 'end of string'"),
            ("x in a", "unable to parse requirement: found 'a' expected: '('"),
            ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("x in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
            (
                "x>a",
                "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            (
                "-x=a",
                "unable to parse requirement: <nil>: Invalid value: \"-x\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
            (
                "a=@",
                "unable to parse requirement: values[0][a]: Invalid value: \"@\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
        ] {
            assert_eq!(LabelSelector::parse(text), Err(want.to_owned()), "{text:?}");
        }
        assert!(LabelSelector::parse(&"a,".repeat(SELECTOR_BYTES_MAX)).is_err());
    }

    #[test]
    fn label_selectors_match() {
        let set = labels(&[("tier", "f"), ("n", "5")]);
        for (text, want) in [
            ("", true),
            ("tier=f", true),
            ("tier==b", false),
            ("tier!=b", true),
            ("env!=b", true),
            ("tier in (a,f)", true),
            ("tier notin (a,f)", false),
            ("env notin (a)", true),
            ("tier", true),
            ("!tier", false),
            ("!env", true),
            ("n>4,n<6", true),
            ("n>5", false),
            ("tier>1", false),
            ("env>1", false),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap().matches(&set), want, "{text:?}");
        }
        assert!(!LabelSelector::nothing().matches(&set));
    }

    #[test]
    fn label_selectors_come_from_objects() {
        let object = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["d", "e"]}, {"key": "f", "operator": "DoesNotExist"}]});
        let selector = LabelSelector::from_object(Some(&object)).unwrap();
        assert_eq!(selector.to_string(), "a=b,c in (d,e),!f");
        assert_eq!(selector.required_value("a"), Some("b"));
        assert_eq!(LabelSelector::from_object(None), Ok(LabelSelector::nothing()));
        assert!(LabelSelector::from_object(Some(&json!({}))).unwrap().is_everything());
        let bogus = json!({"matchExpressions": [{"key": "c", "operator": "Near"}]});
        let text = "\"Near\" is not a valid label selector operator";
        assert_eq!(LabelSelector::from_object(Some(&bogus)), Err(text.to_owned()));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_printing_round_trips(text in "[a-c!=<>(), \\\\/\u{e9}\u{0}]{0,24}|[a-c]( in | notin |=|!=)\\(?[a-c,]{0,5}\\)?") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                let printed = selector.to_string();
                prop_assert_eq!(LabelSelector::parse(&printed).map(|again| again.to_string()), Ok(printed));
            }
        }
    }
}
