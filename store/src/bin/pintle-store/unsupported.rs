//! The flags of etcd that have no effect here. They are accepted, so that a manifest written for etcd works, and named
//! in the log.

/// Whether a flag is followed by a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// `--flag=v` or `--flag v`.
    Value,
    /// `--flag` or `--flag=true`.
    Nothing,
}

const UNSUPPORTED: &[(&str, Takes)] = &[
    ("backend-batch-interval", Takes::Value),
    ("backend-batch-limit", Takes::Value),
    ("backend-bbolt-freelist-type", Takes::Value),
    ("bootstrap-defrag-threshold-megabytes", Takes::Value),
    ("client-cert-file", Takes::Value),
    ("client-key-file", Takes::Value),
    ("compaction-batch-limit", Takes::Value),
    ("compaction-sleep-interval", Takes::Value),
    ("discovery", Takes::Value),
    ("discovery-cacert", Takes::Value),
    ("discovery-cert", Takes::Value),
    ("discovery-dial-timeout", Takes::Value),
    ("discovery-endpoints", Takes::Value),
    ("discovery-fallback", Takes::Value),
    ("discovery-insecure-skip-tls-verify", Takes::Nothing),
    ("discovery-insecure-transport", Takes::Nothing),
    ("discovery-keepalive-time", Takes::Value),
    ("discovery-keepalive-timeout", Takes::Value),
    ("discovery-key", Takes::Value),
    ("discovery-password", Takes::Value),
    ("discovery-proxy", Takes::Value),
    ("discovery-request-timeout", Takes::Value),
    ("discovery-srv", Takes::Value),
    ("discovery-srv-name", Takes::Value),
    ("discovery-token", Takes::Value),
    ("discovery-user", Takes::Value),
    ("distributed-tracing-address", Takes::Value),
    ("distributed-tracing-instance-id", Takes::Value),
    ("distributed-tracing-sampling-rate", Takes::Value),
    ("distributed-tracing-service-name", Takes::Value),
    ("downgrade-check-time", Takes::Value),
    ("enable-distributed-tracing", Takes::Nothing),
    ("enable-log-rotation", Takes::Nothing),
    ("enable-pprof", Takes::Nothing),
    ("experimental-compaction-batch-limit", Takes::Value),
    ("experimental-enable-lease-checkpoint", Takes::Nothing),
    ("grpc-keepalive-min-time", Takes::Value),
    ("initial-election-tick-advance", Takes::Nothing),
    ("log-rotation-config-json", Takes::Value),
    ("logger", Takes::Value),
    ("max-snapshots", Takes::Value),
    ("max-wals", Takes::Value),
    ("memory-mlock", Takes::Nothing),
    ("raft-read-timeout", Takes::Value),
    ("raft-write-timeout", Takes::Value),
    ("snapshot-catchup-entries", Takes::Value),
    ("snapshot-count", Takes::Value),
    ("socket-reuse-address", Takes::Nothing),
    ("unsafe-no-fsync", Takes::Nothing),
    ("v2-deprecation", Takes::Value),
];

/// Parts a command line into what is to be parsed, with Go's `-flag` written as `--flag`, and the names of flags that
/// have no effect.
pub fn take_out(arguments: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let mut arguments = arguments.into_iter();
    let mut kept: Vec<String> = arguments.next().into_iter().collect();
    let mut ignored = Vec::new();
    while let Some(argument) = arguments.next() {
        let Some(flag) = flag_of(&argument) else {
            kept.push(argument);
            continue;
        };
        let name = flag.split('=').next().unwrap_or(flag);
        match takes(name) {
            None => kept.push(format!("--{flag}")),
            Some(takes) => {
                ignored.push(format!("--{name}"));
                if takes == Takes::Value && !flag.contains('=') {
                    arguments.next();
                }
            }
        }
    }
    (kept, ignored)
}

/// Whether etcd has a flag of this name that has no effect here.
pub fn is_known(name: &str) -> bool {
    takes(name).is_some()
}

/// The flag without its dashes, if the argument is one.
fn flag_of(argument: &str) -> Option<&str> {
    let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    flag.starts_with(|first: char| first.is_ascii_alphabetic()).then_some(flag)
}

fn takes(name: &str) -> Option<Takes> {
    UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name).map(|(_, takes)| *takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(line: &str) -> (String, String) {
        let (kept, ignored) = take_out(line.split(' ').map(str::to_owned));
        (kept.join(" "), ignored.join(" "))
    }

    fn parts(kept: &str, ignored: &str) -> (String, String) {
        (kept.to_owned(), ignored.to_owned())
    }

    #[test]
    fn flags_without_effect_go_with_their_values() {
        assert_eq!(part("p --snapshot-count=5 --name a"), parts("p --name a", "--snapshot-count"));
        assert_eq!(part("p --snapshot-count 5 --name=a"), parts("p --name=a", "--snapshot-count"));
        assert_eq!(part("p --enable-pprof --name a"), parts("p --name a", "--enable-pprof"));
        assert_eq!(part("p -memory-mlock=true"), parts("p", "--memory-mlock"));
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        assert_eq!(part("p -name=a -data-dir /d --quota-backend-bytes -1"), {
            parts("p --name=a --data-dir /d --quota-backend-bytes -1", "")
        });
    }
}
