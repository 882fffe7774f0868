//! Where settings come from: the command line before `ETCD_*` variables, or a configuration file alone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use crate::config_file::{self, ConfigFileError};
use crate::flags::Flags;
use crate::unsupported;

/// The settings, and what the log should say of how they came about.
#[derive(Debug)]
pub struct Arguments {
    /// The flags that have an effect.
    pub flags: Flags,
    /// Flags and variables of etcd that have none.
    pub without_effect: Vec<String>,
    /// Variables and settings of nobody.
    pub unknown: Vec<String>,
    /// What was given beside a configuration file.
    pub outvoted: Vec<String>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// The flags cannot be parsed, or ask for help.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// The configuration file cannot be used.
    #[error(transparent)]
    ConfigFile(#[from] ConfigFileError),
}

/// Gathers the settings out of a command line, whose first word is the program's name, and variables.
pub fn gather(
    command_line: impl IntoIterator<Item = String>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Arguments, ArgumentError> {
    let (command_line, mut without_effect) = unsupported::take_out(command_line);
    let variables: Vec<(String, String)> = variables.into_iter().collect();
    let flags = Flags::try_parse_from(&command_line)?;
    let file = flags.config_file.clone().or_else(|| config_file_variable(&variables));
    if let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) {
        return from_file(&path, &command_line);
    }
    let known = known_flags();
    let mut unknown = Vec::new();
    // Before the command line, so that it wins.
    let mut arguments: Vec<String> = command_line.first().cloned().into_iter().collect();
    for (variable, value) in &variables {
        let Some(name) = variable.strip_prefix("ETCD_") else { continue };
        let flag = name.to_ascii_lowercase().replace('_', "-");
        if value.is_empty() {
            continue;
        }
        if known.contains(&flag) {
            arguments.push(format!("--{flag}={value}"));
        } else if unsupported::is_known(&flag) {
            without_effect.push(variable.clone());
        } else {
            unknown.push(variable.clone());
        }
    }
    arguments.extend(command_line.into_iter().skip(1));
    Ok(Arguments { flags: Flags::try_parse_from(arguments)?, without_effect, unknown, outvoted: Vec::new() })
}

fn config_file_variable(variables: &[(String, String)]) -> Option<PathBuf> {
    variables.iter().find(|(name, _)| name == "ETCD_CONFIG_FILE").map(|(_, path)| path.into())
}

fn from_file(path: &std::path::Path, command_line: &[String]) -> Result<Arguments, ArgumentError> {
    let settings = std::iter::once(command_line.first().cloned().unwrap_or_default()).chain(config_file::read(path)?);
    let (settings, without_effect) = unsupported::take_out(settings);
    let known = known_flags();
    let name_of = |argument: &String| -> Option<String> {
        Some(argument.strip_prefix("--")?.split('=').next().unwrap_or_default().to_owned())
    };
    let is_known = |argument: &String| name_of(argument).is_none_or(|name| known.contains(&name));
    let (kept, strange): (Vec<String>, Vec<String>) = settings.into_iter().partition(is_known);
    let unknown = strange.iter().filter_map(name_of).collect();
    let outvoted = command_line.iter().skip(1).filter_map(name_of).filter(|name| name != "config-file").collect();
    Ok(Arguments { flags: Flags::try_parse_from(kept)?, without_effect, unknown, outvoted })
}

/// The names of all flags, other names included.
fn known_flags() -> BTreeSet<String> {
    let command = Flags::command();
    let names =
        command.get_arguments().flat_map(|argument| argument.get_long_and_visible_aliases().unwrap_or_default());
    let aliases = command.get_arguments().flat_map(|argument| argument.get_all_aliases().unwrap_or_default());
    names.chain(aliases).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gathered(line: &str, variables: &[(&str, &str)]) -> Arguments {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        gather(line.split(' ').map(str::to_owned), variables).unwrap()
    }

    #[test]
    fn the_command_line_wins_over_variables() {
        let variables = [("ETCD_NAME", "v"), ("ETCD_WAL_DIR", "/w"), ("ETCD_MAX_WALS", "1"), ("ETCD_FOO", "2")];
        let arguments = gathered("p --name c", &variables);
        let config = arguments.flags.store_config().unwrap();
        assert_eq!((config.name.as_str(), config.wal_dir), ("c", Some("/w".into())));
        assert_eq!(arguments.without_effect, ["ETCD_MAX_WALS"]);
        assert_eq!(arguments.unknown, ["ETCD_FOO"]);
        let config = gathered("p", &[("ETCD_NAME", "v"), ("ETCD_DATA_DIR", "")]).flags.store_config().unwrap();
        assert_eq!((config.name.as_str(), config.data_dir), ("v", "v.etcd".into()));
    }

    #[test]
    fn a_configuration_file_is_all_that_counts() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"name: f\nmax-txn-ops: 7\nsnapshot-count: 5\nfoo: bar\n").unwrap();
        let path = file.path().to_str().unwrap();
        let check = |arguments: Arguments, outvoted: &[&str]| {
            let config = arguments.flags.store_config().unwrap();
            assert_eq!((config.name.as_str(), config.max_txn_ops, config.wal_dir), ("f", 7, None));
            assert_eq!(arguments.without_effect, ["--snapshot-count"]);
            assert_eq!(arguments.unknown, ["foo"]);
            assert_eq!(arguments.outvoted, outvoted);
        };
        check(gathered(&format!("p --config-file {path} --name=c"), &[("ETCD_WAL_DIR", "/w")]), &["name"]);
        check(gathered("p", &[("ETCD_CONFIG_FILE", path)]), &[]);
    }
}
