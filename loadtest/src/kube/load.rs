//! Reads and writes of pods.

use std::time::Duration;

use http::StatusCode;

use crate::case::Case;
use crate::cli::BenchOptions;
use crate::error::BenchError;
use crate::measure::{Sample, Until, drive};
use crate::proc_stat::Processes;

use super::client::{Call, Client, Clients, Failure, media};
use super::manifest::{node_path, pod, pod_path, pods_path, status};

/// Requests that are open at a time.
const WORKERS: usize = 32;
/// LISTs of all pods that are open at a time.
const LISTERS: usize = 8;
/// LISTs of all pods in a storm.
const STORM_LISTS: u64 = 64;
/// How often a request of a storm is sent again that the server is too busy for.
const ATTEMPTS: u32 = 120;
const PAUSE: Duration = Duration::from_secs(1);

const ALL_PODS: &str = "/api/v1/pods?resourceVersion=0";

/// Runs one of the cases that are a loop over one operation.
pub async fn run(
    case: Case,
    clients: &Clients,
    processes: &Processes,
    options: &BenchOptions,
) -> Result<Sample, BenchError> {
    let (pods, namespaces, nodes) = (options.pods, options.namespaces(), options.nodes());
    let storm = nodes + STORM_LISTS;
    let workers = match case {
        Case::ListJson | Case::ListProtobuf => LISTERS,
        Case::Storm => usize::try_from(storm).unwrap_or(usize::MAX),
        _ => WORKERS,
    };
    let until = match case {
        Case::CreatePod => Until::Operations(pods),
        Case::Storm => Until::Operations(storm),
        _ => Until::Elapsed(options.duration()),
    };
    let clients = clients.clone();
    let sample = drive(processes, workers, until, move |turn| {
        let (client, at) = (clients.of(turn.worker), turn.index);
        async move {
            let result = match case {
                Case::CreatePod => {
                    client.call(Call::post(&pods_path(at % namespaces), pod(at, namespaces, nodes))).await
                }
                Case::GetPod => client.call(Call::get(&pod_path(at % pods, namespaces), media::JSON)).await,
                Case::PatchStatus => {
                    let path = format!("{}/status", pod_path(at % pods, namespaces));
                    client.call(Call::patch(&path, status(at))).await
                }
                Case::ListJson => client.call(Call::get(ALL_PODS, media::JSON)).await,
                Case::ListProtobuf => client.call(Call::get(ALL_PODS, media::PROTOBUF)).await,
                Case::ListNamespace => client.call(Call::get(&pods_path(at % namespaces), media::JSON)).await,
                Case::ListNode => client.call(Call::get(&node_path(at % nodes), media::PROTOBUF)).await,
                Case::Storm if at < nodes => insist(&client, &node_path(at)).await,
                Case::Storm => insist(&client, ALL_PODS).await,
                other => Err(Failure::Broken(format!("{} is no loop", other.title()))),
            };
            result.map_err(|failure| failure.to_string())
        }
    });
    sample.await
}

/// Reads, again and again while the server is too busy.
async fn insist(client: &Client, path: &str) -> Result<u64, Failure> {
    for _ in 1..ATTEMPTS {
        match client.call(Call::get(path, media::PROTOBUF)).await {
            Err(Failure::Status(StatusCode::TOO_MANY_REQUESTS, _)) => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
    client.call(Call::get(path, media::PROTOBUF)).await
}
