//! What happens while the agent cannot look: it is stopped, so that the kernel side is alone.

#[cfg(test)]
mod tests {
    use bulkhead_e2e::{
        agent::{Agent, Home},
        cast::{MIGHTY, TENANTS, is_of},
        evidence::Event,
        metrics::Metrics,
        node::Node,
        pod::{Container, Wish},
        wait_for,
    };

    const FORBIDDEN: &str = "/proc/sys/kernel/core_pattern";

    /// More than the ring between kernel and agent can hold.
    const FLOOD: u32 = 10_000;

    fn started(node: &Node, name: &str) -> (Home, Agent) {
        node.start_runtime().unwrap();
        let home = Home::new(name).unwrap();
        home.write(&home.configuration(TENANTS)).unwrap();
        let agent = Agent::start(&home).unwrap();
        (home, agent)
    }

    #[test]
    fn nothing_slips_through_before_a_container_is_named() {
        let Some(node) = Node::claim_with_bpf_lsm("the first instruction", true) else { return };
        let (home, agent) = started(&node, "early");
        let first = format!("( : > {FORBIDDEN} ) && touch /tmp/leak; unshare -U touch /tmp/leak");
        for runtime in ["runc", "crun"] {
            let before = home.evidence().newest().unwrap();
            agent.stop().unwrap();
            let wish = Wish::new("team-a", runtime, runtime).with(MIGHTY);
            let container = Container::start(wish.that_begins_with(&first)).unwrap();
            let leak = container.sh("cat /tmp/leak").unwrap();
            assert!(leak.said.contains("No such file"), "it went through: {}", leak.said);
            agent.go_on().unwrap();
            for rule in ["BH-FILE-001", "BH-NS-001"] {
                let event = home.evidence().await_one(before, rule, |event| {
                    event.text("rule") == rule && is_of(event, &container)
                });
                let event = event.unwrap();
                assert_eq!(event.text("effect"), "denied", "{event}");
                assert!(!event.is_of_setup(), "{event}");
            }
            let setup = home.evidence().after(before).unwrap();
            assert!(!setup.iter().any(Event::is_of_setup), "the runtime's set-up was judged");
            container.remove().unwrap();
        }
    }

    #[test]
    fn a_flood_loses_no_count_and_the_log_says_what_it_lost() {
        let Some(node) = Node::claim_with_bpf_lsm("a flood", true) else { return };
        let (home, agent) = started(&node, "flood");
        let actor = Container::start(Wish::new("team-a", "flood", "crun").with(MIGHTY)).unwrap();
        let before = home.evidence().newest().unwrap();
        agent.stop().unwrap();
        let flood = format!(
            "n=0; while [ $n -lt {FLOOD} ]; do echo -n > {FORBIDDEN}; n=$((n + 1)); done 2> /dev/null"
        );
        actor.sh(&flood).unwrap();
        agent.go_on().unwrap();

        let labels = [("rule", "BH-FILE-001"), ("tenant", "team-a")];
        let of = |metrics: &Metrics, name| metrics.sum(name, &labels);
        let metrics = wait_for("the whole count", || {
            let metrics = home.metrics()?;
            let counted = of(&metrics, "bulkhead_verdicts_total");
            Ok((counted + 0.5 >= f64::from(FLOOD)).then_some(metrics))
        });
        let metrics = metrics.unwrap();
        let (counted, lost) =
            (of(&metrics, "bulkhead_verdicts_total"), of(&metrics, "bulkhead_events_lost_total"));
        assert!((counted - f64::from(FLOOD)).abs() < 0.5, "{counted} counted");
        assert!(lost > 0.5, "the ring held all: this test shows nothing");
        home.evidence()
            .await_one(before, "of the loss", |event| event.text("kind") == "loss")
            .unwrap();
        let events = home.evidence().after(before).unwrap();
        let acts = events.iter().filter(|event| event.text("rule") == "BH-FILE-001");
        let told: u64 = events.iter().filter_map(|event| event.number("count")).sum();
        let acts = acts.filter(|event| event.is_act()).count() as u64;
        assert_eq!(acts + told, u64::from(FLOOD), "{acts} acts, {told} told as lost");
        actor.remove().unwrap();
    }
}
