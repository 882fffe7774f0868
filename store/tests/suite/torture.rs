//! A short run of the fault harness: a cluster of real processes, everything that can happen to one, and nothing is lost.

use std::path::Path;
use std::time::Duration;

use pintle_loadtest::cli::TortureOptions;
use pintle_loadtest::torture::{self, Failure, TortureError};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_loses_nothing_whatever_happens_to_it() {
    let options = TortureOptions {
        seed: None,
        duration: Duration::from_secs(20),
        members: 3,
        clients: 6,
        faults: Vec::new(),
        server_binary: None,
    };
    let program = Path::new(env!("CARGO_BIN_EXE_pintle-store"));
    match torture::run(program, &options, |news| println!("{news}")).await {
        Ok(report) => {
            println!("{report}");
            assert!(report.faults_survived() > 0, "nothing happened");
            assert!(report.operations_checked() > 0, "nobody did anything");
        }
        Err(Failure { error: TortureError::Unavailable(why), .. }) => eprintln!("skipped: {why}"),
        Err(failure) => panic!("{failure}"),
    }
}
