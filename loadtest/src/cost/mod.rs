//! What the store costs beside an etcd: both run at the same time, and each case is measured on one and then on the other, a slice
//! of it at a time, so that whatever else the machine does falls on both.

mod cases;
mod report;
mod subject;

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use self::cases::Measuring;
use self::subject::Subject;
use crate::bench::{beside, spinner};
use crate::cli::CostOptions;
use crate::error::BenchError;

/// Measures everything and returns the table.
pub async fn run(options: &CostOptions) -> Result<String, BenchError> {
    let bar = spinner();
    let reference = options.etcd.clone().or_else(|| on_path("etcd"));
    let mut subjects = vec![Subject::start(&beside("pintle-store")?).await?];
    if let Some(etcd) = &reference {
        subjects.push(Subject::start(etcd).await?);
    }
    let rows = measure(options, &mut subjects, &bar).await;
    for subject in subjects {
        subject.stop().await?;
    }
    bar.finish_and_clear();
    let title = format!("values of {} B, {} clients", options.value_bytes, options.clients);
    let mut text = report::table(&title, &rows?);
    if reference.is_none() {
        text.push_str(
            "There was no etcd to compare with. Put one on PATH or name it (make bench-store ETCD=/path/to/etcd); releases are at \
             https://github.com/etcd-io/etcd/releases, or: go install go.etcd.io/etcd/server/v3@v3.7.1\n",
        );
    }
    Ok(text)
}

/// Every case in the order in which each finds what it needs.
async fn measure(
    options: &CostOptions,
    subjects: &mut Vec<Subject>,
    bar: &ProgressBar,
) -> Result<Vec<report::Row>, BenchError> {
    let mut measuring = Measuring { options, bar, rows: Vec::new() };
    measuring.put(subjects).await?;
    measuring.txn(subjects).await?;
    measuring.put_one(subjects).await?;
    measuring.get(subjects).await?;
    measuring.page(subjects, options.keys).await?;
    measuring.watch(subjects).await?;
    measuring.fill(subjects, options.keys..options.many_keys).await?;
    measuring.page(subjects, options.many_keys).await?;
    measuring.count(subjects).await?;
    measuring.restart(subjects).await?;
    measuring.fill(subjects, 0..options.many_keys).await?;
    measuring.compaction(subjects).await?;
    Ok(measuring.rows)
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| is_file(path))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}
