//! Flags of logs and metrics.

use std::sync::atomic::Ordering;

use clap::{Args, ValueEnum};
use pintle_store::http::Endpoint;
use pintle_store::metrics::METRICS;

use super::FlagError;
use super::values::{GoDuration, LogLevel, list};

/// What the server tells of itself.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logs and metrics")]
pub struct MonitoringFlags {
    /// URLs to serve /metrics, /health, /livez and /readyz on, besides those for clients.
    #[arg(long, value_name = "URLS", default_value = "")]
    listen_metrics_urls: String,

    /// `basic`, or `extensive` with histograms of every gRPC method's duration.
    #[arg(long, value_name = "LEVEL", default_value = "basic")]
    metrics: String,

    /// debug, info, warn, error, panic or fatal.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// json or console.
    #[arg(long, value_name = "FORMAT", default_value = "json", value_enum)]
    pub log_format: LogFormat,

    /// Where the log goes: stderr, stdout, or files, separated by commas.
    #[arg(long, value_name = "TARGETS", default_value = "default")]
    log_outputs: String,

    /// A request without a stream that takes longer is named in the log.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "300ms",
        alias = "experimental-warning-unary-request-duration"
    )]
    warning_unary_request_duration: GoDuration,

    /// Applying that takes longer is counted as slow and named in the log.
    #[arg(long, value_name = "DURATION", default_value = "100ms", alias = "experimental-warning-apply-duration")]
    warning_apply_duration: GoDuration,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// For people.
    Console,
}

impl MonitoringFlags {
    /// Where to serve metrics and health alone.
    pub fn metrics_endpoints(&self) -> Result<Vec<(String, Endpoint)>, FlagError> {
        super::endpoints("listen-metrics-urls", &self.listen_metrics_urls)
    }

    /// Where the log goes.
    pub fn log_outputs(&self) -> Result<Vec<String>, FlagError> {
        let outputs: Vec<String> = list(&self.log_outputs).map(str::to_owned).collect();
        if outputs.len() > 1 && outputs.iter().any(|output| output == "default") {
            return Err(FlagError::DefaultLogOutput);
        }
        Ok(outputs)
    }

    /// Says what is to be measured.
    pub fn monitor(&self) {
        let millis = |duration: GoDuration| u64::try_from(duration.0.as_millis()).unwrap_or(u64::MAX);
        METRICS.extensive.store(self.metrics == "extensive", Ordering::Relaxed);
        METRICS.slow_millis.apply.store(millis(self.warning_apply_duration), Ordering::Relaxed);
        METRICS.slow_millis.request.store(millis(self.warning_unary_request_duration), Ordering::Relaxed);
    }
}
