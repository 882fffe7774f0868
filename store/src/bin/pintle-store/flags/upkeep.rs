//! Flags of what a member does for its data by itself.

use std::time::Duration;

use clap::Args;
use pintle_store::StoreConfig;
use pintle_store::maintenance::compactor::Retention;

use super::FlagError;
use super::feature_gates::FeatureGates;
use super::values::{GoDuration, go_bool};

/// Compaction, and looking for members whose data differs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Upkeep")]
pub struct UpkeepFlags {
    /// What --auto-compaction-retention counts: periodic (time) or revision.
    #[arg(long, value_name = "MODE", default_value = "periodic")]
    auto_compaction_mode: String,

    /// How much history automatic compaction keeps: a duration, hours without a unit, or revisions; 0 is all.
    #[arg(long, value_name = "LENGTH", default_value = "0")]
    auto_compaction_retention: String,

    /// How often members compare their data, such as 1h; 0s is never.
    #[arg(long, value_name = "DURATION", alias = "experimental-corrupt-check-time")]
    corrupt_check_time: Option<GoDuration>,

    /// How often they compare what was compacted, if the feature gate CompactHashCheck is on.
    #[arg(long, value_name = "DURATION", alias = "experimental-compact-hash-check-time")]
    compact_hash_check_time: Option<GoDuration>,

    /// As the feature gate CompactHashCheck.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool, action = clap::ArgAction::Set)]
    experimental_compact_hash_check_enabled: bool,

    /// As the feature gate InitialCorruptCheck.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = go_bool, action = clap::ArgAction::Set)]
    experimental_initial_corrupt_check: bool,
}

/// How often compacted data is compared unless a flag says otherwise, as in etcd.
const COMPACT_HASH_CHECK_INTERVAL: Duration = Duration::from_secs(60);

impl UpkeepFlags {
    /// What they and the feature gates say of how to open the store.
    pub fn configure(&self, gates: &FeatureGates, config: &mut StoreConfig) -> Result<(), FlagError> {
        let upkeep = &mut config.upkeep;
        upkeep.retention = self.retention()?;
        upkeep.corrupt_check_interval = interval(self.corrupt_check_time);
        if self.experimental_compact_hash_check_enabled || gates.is_enabled("CompactHashCheck") {
            let given = self.compact_hash_check_time.map_or(COMPACT_HASH_CHECK_INTERVAL, |GoDuration(time)| time);
            if given.is_zero() {
                return Err(FlagError::CompactHashCheckTime);
            }
            upkeep.compact_hash_check_interval = Some(given);
        }
        upkeep.initial_corrupt_check =
            self.experimental_initial_corrupt_check || gates.is_enabled("InitialCorruptCheck");
        Ok(())
    }

    fn retention(&self) -> Result<Option<Retention>, FlagError> {
        let text = self.auto_compaction_retention.as_str();
        let invalid = || FlagError::CompactionRetention(text.to_owned());
        let hours = text.parse::<u32>().ok();
        let retention = match (self.auto_compaction_mode.as_str(), hours) {
            ("periodic", Some(hours)) => Retention::Period(Duration::from_secs(3600) * hours),
            ("periodic", None) => Retention::Period(text.parse::<GoDuration>().map_err(|_| invalid())?.0),
            ("revision", _) => {
                Retention::Revisions(text.parse::<i64>().ok().filter(|kept| *kept >= 0).ok_or_else(invalid)?)
            }
            (mode, _) => return Err(FlagError::CompactionMode(mode.to_owned())),
        };
        let is_off = matches!(retention, Retention::Period(Duration::ZERO) | Retention::Revisions(0));
        Ok((!is_off).then_some(retention))
    }
}

fn interval(given: Option<GoDuration>) -> Option<Duration> {
    given.map(|GoDuration(time)| time).filter(|time| !time.is_zero())
}
