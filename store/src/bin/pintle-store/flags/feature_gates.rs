//! `--feature-gates`: etcd's names, of which some have an effect here.

use std::str::FromStr;

use super::values::go_bool;

/// A gate's name, its stage, and whether etcd has it on.
const GATES: &[(&str, &str, bool)] = &[
    ("AllAlpha", "ALPHA", false),
    ("AllBeta", "BETA", false),
    ("CompactHashCheck", "ALPHA", false),
    ("FastLeaseKeepAlive", "BETA", true),
    ("InitialCorruptCheck", "ALPHA", false),
    ("LeaseCheckpoint", "ALPHA", false),
    ("LeaseCheckpointPersist", "ALPHA", false),
    ("PriorityRequest", "ALPHA", false),
    ("SetMemberLocalAddr", "ALPHA", false),
    ("StopGRPCServiceOnDefrag", "ALPHA", false),
    ("TxnModeWriteWithSharedBuffer", "BETA", true),
];

/// The gates that were set, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureGates(Vec<(&'static str, bool)>);

impl FeatureGates {
    /// Every gate with its stage and whether it is on.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> + '_ {
        GATES.iter().map(|(name, stage, default)| (*name, *stage, self.is_on(name, stage, *default)))
    }

    /// Whether a gate was named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a gate is on, by its name.
    pub fn is_enabled(&self, wanted: &str) -> bool {
        self.all().any(|(name, _, on)| name == wanted && on)
    }

    fn is_on(&self, name: &str, stage: &str, default: bool) -> bool {
        let set = |wanted: &str| self.0.iter().rev().find(|(name, _)| *name == wanted).map(|(_, on)| *on);
        let whole_stage = || set(if stage == "ALPHA" { "AllAlpha" } else { "AllBeta" });
        set(name).or_else(|| whole_stage().filter(|_| !name.starts_with("All"))).unwrap_or(default)
    }
}

impl FromStr for FeatureGates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut gates = Vec::new();
        for gate in text.split(',').map(str::trim).filter(|gate| !gate.is_empty()) {
            let (name, value) = gate.split_once('=').ok_or_else(|| format!("missing bool value for {gate}"))?;
            let (name, value) = (name.trim(), value.trim());
            let on = go_bool(value).map_err(|_| {
                format!("invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")
            })?;
            let known = GATES.iter().find(|(known, ..)| *known == name);
            let (name, ..) = known.ok_or_else(|| format!("unrecognized feature gate: {name}"))?;
            gates.push((*name, on));
        }
        Ok(Self(gates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_switched_as_a_whole_and_single_gates_against_it() {
        let on = |text: &str| {
            let gates: FeatureGates = text.parse().unwrap();
            gates.all().filter(|(.., on)| *on).map(|(name, ..)| name).collect::<Vec<_>>()
        };
        assert_eq!(on(""), ["FastLeaseKeepAlive", "TxnModeWriteWithSharedBuffer"]);
        assert_eq!(on("AllBeta=false,FastLeaseKeepAlive=true"), ["FastLeaseKeepAlive"]);
        assert!(on("AllAlpha=true").contains(&"LeaseCheckpoint"));
    }

    #[test]
    fn errors_are_etcds() {
        let error = |text: &str| text.parse::<FeatureGates>().unwrap_err();
        assert_eq!(error("Foo=true"), "unrecognized feature gate: Foo");
        assert_eq!(error("AllAlpha"), "missing bool value for AllAlpha");
        assert_eq!(
            error("AllAlpha=x"),
            "invalid value of AllAlpha=x, err: strconv.ParseBool: parsing \"x\": invalid syntax"
        );
    }
}
