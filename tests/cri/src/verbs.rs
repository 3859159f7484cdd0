//! What each verb does. Each returns the exit status of the program.

use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::arguments::RunArguments;
use crate::client::Client;
use crate::cri::{
    ContainerState, CreateContainerRequest, ExecSyncRequest, ListImagesRequest, PodSandboxConfig,
    RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest,
    StatusRequest, StopContainerRequest, StopPodSandboxRequest, VersionRequest,
};
use crate::{container, logs, pod};

/// The exit status of a wait whose time is over, as with timeout(1).
const TIMED_OUT: u8 = 124;

/// How often a state is asked for.
const POLL: Duration = Duration::from_millis(100);

pub(crate) async fn run(client: &mut Client, run: &RunArguments) -> Result<u8> {
    let (sandbox, config, target) = sandbox_for(client, run).await?;
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox.clone(),
        config: Some(container::config(run, &config, &target)),
        sandbox_config: Some(config),
    };
    let created = client.runtime.create_container(request).await;
    let id = created.context("cannot create the container")?.into_inner().container_id;
    let request = StartContainerRequest { container_id: id.clone() };
    client.runtime.start_container(request).await.context("cannot start the container")?;
    let pid = pid(client, &id).await?;
    say(&json!({"container": id, "sandbox": sandbox, "pid": pid}).to_string())?;
    Ok(0)
}

/// The pod for a new container: one that is there, or a new one. With it goes the container
/// whose PID namespace is to be joined, or nothing.
async fn sandbox_for(
    client: &mut Client,
    run: &RunArguments,
) -> Result<(String, PodSandboxConfig, String)> {
    if let Some(beginning) = &run.pid_of {
        let target = client.container(beginning).await?;
        let config = pod::recall(&target.pod_sandbox_id)?;
        return Ok((target.pod_sandbox_id, config, target.id));
    }
    if let Some(beginning) = &run.in_pod {
        let sandbox = client.pod(beginning).await?.id;
        let config = pod::recall(&sandbox)?;
        return Ok((sandbox, config, String::new()));
    }
    let config = pod::config(run, pod::CgroupDriver::of_this_node())?;
    let request =
        RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: run.runtime.clone() };
    let started = client.runtime.run_pod_sandbox(request).await.context("cannot start the pod")?;
    let sandbox = started.into_inner().pod_sandbox_id;
    pod::keep(&sandbox, &config)?;
    Ok((sandbox, config, String::new()))
}

/// The first process of a container; the runtime tells it only in its verbose state.
async fn pid(client: &mut Client, id: &str) -> Result<Option<u64>> {
    let info = client.status(id).await?.info;
    let Some(text) = info.get("info") else { return Ok(None) };
    let value: serde_json::Value =
        serde_json::from_str(text).context("the runtime's verbose state is no JSON")?;
    Ok(value.get("pid").and_then(serde_json::Value::as_u64))
}

pub(crate) async fn exec(
    client: &mut Client,
    beginning: &str,
    timeout: i64,
    command: &[String],
) -> Result<u8> {
    let container_id = client.container(beginning).await?.id;
    let request = ExecSyncRequest { container_id, cmd: command.to_vec(), timeout };
    let answer = client.runtime.exec_sync(request).await;
    let done = answer.context("cannot run the command in the container")?.into_inner();
    io::stdout().write_all(&done.stdout)?;
    io::stderr().write_all(&done.stderr)?;
    io::stdout().flush()?;
    status(done.exit_code)
}

fn status(code: i32) -> Result<u8> {
    u8::try_from(code).with_context(|| format!("{code} is no exit status"))
}

pub(crate) async fn logs(client: &mut Client, beginning: &str) -> Result<u8> {
    let id = client.container(beginning).await?.id;
    let path = client.status(&id).await?.status.unwrap_or_default().log_path;
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    for line in text.lines() {
        let line = logs::parse(line).with_context(|| format!("{path} holds `{line}`"))?;
        let end = if line.complete { "\n" } else { "" };
        if line.to_stderr {
            write!(io::stderr(), "{}{end}", line.text)?;
        } else {
            write!(io::stdout(), "{}{end}", line.text)?;
        }
    }
    Ok(0)
}

pub(crate) async fn wait(client: &mut Client, beginning: &str, seconds: u64) -> Result<u8> {
    let id = client.container(beginning).await?.id;
    let begun = Instant::now();
    loop {
        let state = client.status(&id).await?.status.unwrap_or_default();
        if state.state() == ContainerState::ContainerExited {
            return status(state.exit_code);
        }
        if begun.elapsed() > Duration::from_secs(seconds) {
            eprintln!("bulkhead-cri: {id} has not ended in {seconds} s");
            return Ok(TIMED_OUT);
        }
        tokio::time::sleep(POLL).await;
    }
}

pub(crate) async fn list(client: &mut Client) -> Result<u8> {
    let containers = client.containers().await?;
    for pod in client.pods().await? {
        let metadata = pod.metadata.clone().unwrap_or_default();
        let of_pod = containers.iter().filter(|container| container.pod_sandbox_id == pod.id);
        let of_pod: Vec<_> = of_pod
            .map(|container| {
                let name = container.metadata.clone().unwrap_or_default().name;
                let state = container.state().as_str_name().trim_start_matches("CONTAINER_");
                json!({"id": container.id, "name": name, "state": state.to_lowercase()})
            })
            .collect();
        let line = json!({
            "sandbox": pod.id,
            "namespace": metadata.namespace,
            "pod": metadata.name,
            "uid": metadata.uid,
            "runtime": pod.runtime_handler,
            "state": pod.state().as_str_name().trim_start_matches("SANDBOX_").to_lowercase(),
            "containers": of_pod,
        });
        say(&line.to_string())?;
    }
    Ok(0)
}

pub(crate) async fn remove(client: &mut Client, ids: &[String], all: bool) -> Result<u8> {
    if all {
        for pod in client.pods().await? {
            remove_pod(client, &pod.id).await?;
        }
        return Ok(0);
    }
    let pods = client.pods().await?;
    for id in ids {
        if pods.iter().any(|pod| pod.id.starts_with(id)) {
            let pod = client.pod(id).await?.id;
            remove_pod(client, &pod).await?;
        } else {
            let container = client.container(id).await?.id;
            remove_container(client, container).await?;
        }
    }
    Ok(0)
}

async fn remove_container(client: &mut Client, id: String) -> Result<()> {
    let request = StopContainerRequest { container_id: id.clone(), timeout: 0 };
    client.runtime.stop_container(request).await.context("cannot stop the container")?;
    let request = RemoveContainerRequest { container_id: id };
    client.runtime.remove_container(request).await.context("cannot remove the container")?;
    Ok(())
}

async fn remove_pod(client: &mut Client, id: &str) -> Result<()> {
    let request = StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
    client.runtime.stop_pod_sandbox(request).await.context("cannot stop the pod")?;
    let request = RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
    client.runtime.remove_pod_sandbox(request).await.context("cannot remove the pod")?;
    pod::forget(id)
}

pub(crate) async fn images(client: &mut Client) -> Result<u8> {
    let answer = client.images.list_images(ListImagesRequest {}).await;
    for image in answer.context("cannot list the images")?.into_inner().images {
        say(&json!({"id": image.id, "names": image.repo_tags, "bytes": image.size}).to_string())?;
    }
    Ok(0)
}

pub(crate) async fn version(client: &mut Client, wait: u64) -> Result<u8> {
    let begun = Instant::now();
    while let Err(error) = readiness(client).await {
        if wait == 0 || begun.elapsed() > Duration::from_secs(wait) {
            return Err(error);
        }
        tokio::time::sleep(POLL).await;
    }
    let answer = client.runtime.version(VersionRequest { version: "v1".to_owned() }).await;
    let version = answer.context("the runtime does not tell its version")?.into_inner();
    say(&format!("{} {}", version.runtime_name, version.runtime_version))?;
    Ok(0)
}

/// Whether the runtime can start pods, network included.
async fn readiness(client: &mut Client) -> Result<()> {
    let answer = client.runtime.status(StatusRequest { verbose: false }).await;
    let status = answer.context("the runtime does not answer")?.into_inner().status;
    for condition in status.unwrap_or_default().conditions {
        if !condition.status && matches!(condition.r#type.as_str(), "RuntimeReady" | "NetworkReady")
        {
            bail!("not {}: {} {}", condition.r#type, condition.reason, condition.message);
        }
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("cannot write to stdout")
}
