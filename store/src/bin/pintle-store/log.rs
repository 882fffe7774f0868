//! Where the log goes and how its lines look.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Failure;
use crate::flags::{LogFormat, MonitoringFlags};

/// Starts logging: to standard error, as etcd does, unless told otherwise.
pub fn start(flags: &MonitoringFlags) -> Result<(), Failure> {
    let outputs = flags.log_outputs()?.iter().map(|name| Output::open(name)).collect::<Result<Vec<_>, _>>()?;
    let level = flags.log_level.0;
    // What openraft calls info and warnings tells of its inside; members that are lost and found are told of by the peers' client.
    let raft_level = if level == LevelFilter::DEBUG { level } else { level.min(LevelFilter::ERROR) };
    let filter = Targets::new().with_default(level).with_target("openraft", raft_level);
    let layer = tracing_subscriber::fmt::layer().with_writer(Outputs(outputs.into())).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    match flags.log_format {
        LogFormat::Console => registry.with(layer).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
    }
    Ok(())
}

enum Output {
    Stderr,
    Stdout,
    File(File),
}

impl Output {
    fn open(name: &str) -> Result<Self, Failure> {
        match name {
            // Under systemd, standard error is the journal's already.
            "default" | "stderr" | "systemd/journal" => Ok(Self::Stderr),
            "stdout" => Ok(Self::Stdout),
            path => match File::options().append(true).create(true).open(path) {
                Ok(file) => Ok(Self::File(file)),
                Err(error) => Err(format!("cannot write the log to {path}: {error}; check --log-outputs").into()),
            },
        }
    }
}

/// Every line to every output.
#[derive(Clone)]
struct Outputs(Arc<[Output]>);

impl<'a> MakeWriter<'a> for Outputs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Outputs {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for output in self.0.iter() {
            match output {
                Output::Stderr => io::stderr().write_all(line)?,
                Output::Stdout => io::stdout().write_all(line)?,
                Output::File(file) => (&*file).write_all(line)?,
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
