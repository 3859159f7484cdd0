//! `bulkhead tenants`

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::shown;
use crate::{
    cli::TenantsArguments,
    control::{self, ContainerView, ExceptionView, Request, TenantView, Tenants},
};

pub(super) fn run(arguments: &TenantsArguments) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let request = Request::Tenants {};
    if arguments.json {
        let document: serde_json::Value = control::ask(&arguments.socket, &request)?;
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)?;
    } else {
        print(&control::ask(&arguments.socket, &request)?, &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A block a tenant, a line a container.
fn print(tenants: &Tenants, out: &mut impl Write) -> io::Result<()> {
    for tenant in &tenants.tenants {
        print_tenant(tenant, out)?;
    }
    if tenants.tenants.is_empty() {
        writeln!(out, "No container runs here, and the configuration names no tenant.")?;
    }
    if tenants.unnamed > 0 {
        writeln!(out, "{} containers have no name yet: held strictly.", tenants.unnamed)?;
    }
    Ok(())
}

fn print_tenant(tenant: &TenantView, out: &mut impl Write) -> io::Result<()> {
    let by = if tenant.named { "" } else { ", which no policy names" };
    let count = tenant.containers.len();
    let (name, level) = (shown(&tenant.name), shown(&tenant.level));
    writeln!(out, "{name}: {level}{by}; containers: {count}")?;
    for exception in &tenant.exceptions {
        print_exception(exception, out)?;
    }
    for container in &tenant.containers {
        let ContainerView { id, state, runtime, frozen, .. } = container;
        let id: String = shown(id.as_deref().unwrap_or("-")).chars().take(12).collect();
        let runtime = shown(runtime.as_deref().unwrap_or("-"));
        let (state, name) = (shown(state), name_of(container));
        let drift = drift_of(container);
        write!(out, "  {id:<12} {state:<8} {runtime:<11} {name}{drift}")?;
        match frozen {
            Some(frozen) => {
                writeln!(out, " since {}: {}", shown(&frozen.since), shown(&frozen.why))?
            }
            None => writeln!(out)?,
        }
    }
    Ok(())
}

/// One line: who may do what, until when, and why.
fn print_exception(exception: &ExceptionView, out: &mut impl Write) -> io::Result<()> {
    let ExceptionView { name, workload, rules, reason, until, in_force, containers } = exception;
    let until = until.as_deref().map(|until| format!(" until {}", shown(until)));
    let state = if *in_force { until.unwrap_or_default() } else { " (expired)".to_owned() };
    writeln!(
        out,
        "  exception {}{state}: {} for {}; containers: {containers}; {}",
        shown(name),
        rules.iter().map(|rule| shown(rule)).collect::<Vec<_>>().join(", "),
        shown(workload),
        shown(reason),
    )
}

/// The controls that its level requires and that it lacks.
fn drift_of(container: &ContainerView) -> String {
    let drift = container.controls.iter().filter(|it| it.state == "drift");
    let drift: Vec<_> = drift.map(|it| it.control.as_str()).collect();
    if drift.is_empty() { String::new() } else { format!("  drift: {}", drift.join(" ")) }
}

/// Pod and container.
pub(super) fn name_of(container: &ContainerView) -> String {
    let pod = container.pod.as_ref();
    let parts = [
        pod.and_then(|pod| pod.namespace.as_deref()),
        pod.and_then(|pod| pod.name.as_deref()),
        container.name.as_deref(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().map(shown).collect();
    match container.cgroup.as_deref() {
        Some(cgroup) if parts.is_empty() => shown(cgroup),
        _ => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tenant_chose_cannot_break_the_table() {
        let container = ContainerView {
            id: Some("0123456789abcdef".to_owned()),
            name: Some("web\n\u{1b}[2Jroot".to_owned()),
            tenant: "shop".to_owned(),
            state: "running".to_owned(),
            ..ContainerView::default()
        };
        let tenant = TenantView {
            name: "shop".to_owned(),
            level: "untrusted".to_owned(),
            named: true,
            exceptions: vec![ExceptionView {
                name: "debugger".to_owned(),
                workload: "pod web-*".to_owned(),
                rules: vec!["BH-PROC-001 tenant".to_owned()],
                reason: "debugs\n\u{1b}[2Jothers".to_owned(),
                until: Some("2027-03-31".to_owned()),
                in_force: true,
                containers: 1,
            }],
            containers: vec![container],
        };
        let mut out = Vec::new();
        print(&Tenants { tenants: vec![tenant], unnamed: 0 }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        let exception = "exception debugger until 2027-03-31: BH-PROC-001 tenant for pod web-*";
        assert!(text.contains(exception), "{text}");
        assert!(text.contains("0123456789ab running"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
