//! Declared exceptions: one workload goes through where its tenant does not, each use is counted and
//! told, and nobody joins by a name.

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bulkhead_e2e::{
        agent::{Agent, Home},
        cast::{MIGHTY, is_of},
        evidence::Event,
        node::{self, Node},
        pod::{Container, Wish},
        wait_for,
    };
    use serde_json::Value;

    const READS_THE_NODE: &str = "head -c 1 /proc/1/environ";
    const RULE: &str = "BH-PROC-003";

    fn tenants(until: &str) -> String {
        format!(
            "tenants:
  - name: monitoring
    level: semi-trusted
    namespaces: [monitoring, monitoring-lab]
    exceptions:
      - name: exporter
        reason: reads the node's processes
        workload: {{ namespace: monitoring, pod: exporter-*, container: main }}
        rules: {{ BH-PROC-003: [host] }}
        until: {until}
  - {{ name: shop, level: semi-trusted, namespaces: [shop] }}
"
        )
    }

    fn start(namespace: &str, pod: &str) -> Container {
        Container::start(Wish::new(namespace, pod, "crun").with(MIGHTY)).unwrap()
    }

    fn event_of(home: &Home, after: u64, actor: &Container) -> Event {
        let is_it = |event: &Event| event.text("rule") == RULE && is_of(event, actor);
        home.evidence().await_one(after, RULE, is_it).unwrap()
    }

    /// What `bulkhead tenants` says of the exception.
    fn listed() -> Value {
        let said = node::run(Command::new("bulkhead").args(["tenants", "--json"])).unwrap();
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        let tenants = said["tenants"].as_array().unwrap();
        let tenant = tenants.iter().find(|tenant| tenant["name"] == "monitoring").unwrap();
        tenant["exceptions"][0].clone()
    }

    #[test]
    fn only_the_declared_workload_goes_through_and_each_use_is_told() {
        let Some(node) = Node::claim_with_bpf_lsm("declared exceptions", true) else { return };
        node.start_runtime().unwrap();
        let home = Home::new("exceptions").unwrap();
        home.write(&home.configuration(&tenants("2099-12-31"))).unwrap();
        let agent = Agent::start(&home).unwrap();
        let exporter = start("monitoring", "exporter-7");

        let ended = exporter.sh(READS_THE_NODE).unwrap();
        assert!(ended.well(), "{}", ended.said);
        let event = event_of(&home, 0, &exporter);
        assert_eq!(
            (event.text("verdict"), event.text("effect")),
            ("except", "observed"),
            "{event}"
        );
        // The rules that it does not name go on.
        assert!(exporter.sh("kill -URG 1").unwrap().refused());

        // Neither another pod of the tenant, nor one of that name elsewhere.
        for (namespace, pod) in
            [("monitoring", "grafana"), ("monitoring-lab", "exporter-7"), ("shop", "exporter-7")]
        {
            let other = start(namespace, pod);
            let ended = other.sh(READS_THE_NODE).unwrap();
            assert!(ended.refused(), "{namespace}/{pod}: {}", ended.said);
            other.remove().unwrap();
        }

        let used = [("tenant", "monitoring"), ("rule", RULE), ("verdict", "except")];
        wait_for("the counts", || {
            let metrics = home.metrics()?;
            Ok((metrics.sum("bulkhead_verdicts_total", &used) >= 1.0).then_some(()))
        })
        .unwrap();
        let labels = [("exception", "exporter"), ("state", "in-force"), ("rule", RULE)];
        assert_eq!(home.metrics().unwrap().sum("bulkhead_exceptions", &labels) as u64, 1);
        let exception = listed();
        assert_eq!(exception["inForce"], true, "{exception}");
        assert_eq!(exception["containers"], 1, "{exception}");
        assert_eq!(exception["rules"][0], "BH-PROC-003 host", "{exception}");

        // The next agent, with one tenant more: the slots of the old one are still referred to.
        agent.kill().unwrap();
        let more = format!(
            "{}  - {{ name: bank, level: untrusted, namespaces: [bank] }}\n",
            tenants("2099-12-31")
        );
        home.write(&home.configuration(&more)).unwrap();
        let _agent = Agent::start(&home).unwrap();
        let ended = exporter.sh(READS_THE_NODE).unwrap();
        assert!(ended.well(), "after a restart: {}", ended.said);
        let bank = start("bank", "exporter-7");
        assert!(bank.sh(READS_THE_NODE).unwrap().refused());
        bank.remove().unwrap();

        // Its day is over: the running container is held to the level again, and somebody is told.
        let before = home.evidence().newest().unwrap();
        home.write(&home.configuration(&tenants("2026-01-01"))).unwrap();
        home.evidence()
            .await_one(before, "the end of the exception", |event| {
                event.text("message").contains("holds no longer")
            })
            .unwrap();
        let ended = exporter.sh(READS_THE_NODE).unwrap();
        assert!(ended.refused(), "{}", ended.said);
        assert_eq!(listed()["inForce"], false);
    }
}
