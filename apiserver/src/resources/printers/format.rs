//! Texts that several kinds show: selectors, containers, shortened lists.

use serde_json::{Map, Value};

use super::read::{list, text};

/// Labels as `key=value` in order, or `<none>`.
pub fn labels(labels: Option<&Map<String, Value>>) -> String {
    or_none(labels.into_iter().flatten().map(|(key, value)| pair(key, value)).collect::<Vec<_>>().join(","))
}

/// A label selector's text, or `<none>` if it selects everything, or nothing at all.
pub fn label_selector(selector: Option<&Value>) -> String {
    or_none(selector.map(selector_text).unwrap_or_default())
}

/// A `LabelSelector` as the selector that it stands for: requirements by key, values in order.
pub fn selector_text(selector: &Value) -> String {
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut requirements: Vec<(&str, String)> = labels.map(|(key, value)| (key.as_str(), pair(key, value))).collect();
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        let mut values: Vec<&str> = list(expression, "values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        requirements.push((
            key,
            match text(expression, "operator") {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "Exists" => key.to_owned(),
                _ => format!("!{key}"),
            },
        ));
    }
    requirements.sort_by_key(|(key, _)| *key);
    requirements.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

fn pair(key: &str, value: &Value) -> String {
    format!("{key}={}", value.as_str().unwrap_or_default())
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

/// The names and the images of a template's containers, each joined by commas.
pub fn containers(pod_spec: Option<&Value>) -> (String, String) {
    let containers = pod_spec.map_or(&[][..], |spec| list(spec, "containers"));
    let join = |field| containers.iter().map(|container| text(container, field)).collect::<Vec<_>>().join(",");
    (join("name"), join("image"))
}

/// The first `max` of some items, and how many more there are.
pub fn shortened<T: AsRef<str>>(items: &[T], max: usize) -> String {
    let shown = items.iter().take(max).map(AsRef::as_ref).collect::<Vec<_>>().join(",");
    if items.len() > max { format!("{shown} + {} more...", items.len() - max) } else { shown }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_ordered_by_key() {
        let selector = json!({
            "matchLabels": {"z": "1", "b": "2"},
            "matchExpressions": [
                {"key": "c", "operator": "NotIn", "values": ["y", "x"]},
                {"key": "a", "operator": "DoesNotExist"},
            ],
        });
        assert_eq!(label_selector(Some(&selector)), "!a,b=2,c notin (x,y),z=1");
        assert_eq!(label_selector(Some(&json!({}))), "<none>");
    }

    #[test]
    fn long_lists_say_what_they_leave_out() {
        assert_eq!(shortened(&["a", "b"], 2), "a,b");
        assert_eq!(shortened(&["a", "b", "c"], 2), "a,b + 1 more...");
    }
}
