//! Which version a cluster may be downgraded to: the minor version before its own. Pure.
//!
//! The rules are etcd's (`server/etcdserver/version`).

use crate::error::StoreError;

/// A version's major and minor number.
pub type Minor = (u64, u64);

/// Reads `major.minor` or a semantic version.
///
/// # Errors
/// [`StoreError::DowngradeVersionFormat`].
pub fn parse(text: &str) -> Result<Minor, StoreError> {
    let invalid = StoreError::DowngradeVersionFormat;
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Option<Vec<u64>> = core.split('.').map(number).collect();
    match numbers.as_deref() {
        Some([major, minor] | [major, minor, _]) if core == text || core.split('.').count() == 3 => {
            Ok((*major, *minor))
        }
        _ => Err(invalid),
    }
}

/// Digits alone: no sign, no space.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Whether a cluster of version `cluster` may go to `target`, when a downgrade is `pending` already or not.
///
/// # Errors
/// [`StoreError::DowngradeTarget`], [`StoreError::DowngradeInProcess`].
pub fn check(cluster: Minor, target: Minor, pending: bool) -> Result<(), StoreError> {
    if Some(target) != cluster.1.checked_sub(1).map(|minor| (cluster.0, minor)) {
        return Err(StoreError::DowngradeTarget);
    }
    if pending { Err(StoreError::DowngradeInProcess) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minor_version_back() {
        let outcome = |text, pending| parse(text).and_then(|target| check((3, 7), target, pending));
        for good in ["3.6", "3.6.0", "3.6.5", "3.6.1-alpha.2"] {
            assert!(outcome(good, false).is_ok(), "{good}");
            assert!(matches!(outcome(good, true), Err(StoreError::DowngradeInProcess)), "{good}");
        }
        for target in ["3.5", "3.7", "3.8", "2.6", "4.6.0"] {
            assert!(matches!(outcome(target, true), Err(StoreError::DowngradeTarget)), "{target}");
        }
        for text in ["", "3", "x", "v3.6", "3.6.1.2", "3.-6", "3.6-a", "+3.6", "3.6.", "99999999999999999999.1"] {
            assert!(matches!(outcome(text, false), Err(StoreError::DowngradeVersionFormat)), "{text}");
        }
    }
}
