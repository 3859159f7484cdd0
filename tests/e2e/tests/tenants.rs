//! Three tenants on one node: what is refused between them, and what nobody notices.

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use bulkhead_e2e::{
        breakout::{self, Breakout},
        cast::{Cast, is_of},
        evidence::Event,
        node::Node,
        pod::{Container, Ended},
        wait_for,
    };

    /// Pods are dear here: all tests share one cast. Its agent ends with the guest.
    fn cast(node: &Node) -> &'static Cast {
        static CAST: OnceLock<Cast> = OnceLock::new();
        CAST.get_or_init(|| Cast::assemble(node, "tenants").unwrap())
    }

    /// Does all of them, and returns how they ended with the events of this actor.
    fn attempt(cast: &Cast, actor: &Container, breakouts: &[Breakout]) -> (Vec<Ended>, Vec<Event>) {
        let lines: Vec<_> = breakouts.iter().map(|breakout| breakout.line.clone()).collect();
        let (ended, mut events) = cast.events_of(|| actor.each(&lines)).unwrap();
        events.retain(|event| is_of(event, actor));
        (ended, events)
    }

    /// Takes an event of one of these rules out of those that are left.
    fn take(events: &mut Vec<Event>, breakout: &Breakout, relation: &str) -> Event {
        let answers = |event: &Event| {
            breakout.rules.contains(&event.text("rule")) && event.text("relation") == relation
        };
        let found = events.iter().position(answers);
        let found = found.unwrap_or_else(|| {
            let left: Vec<String> = events.iter().map(ToString::to_string).collect();
            panic!("no event for `{}` among\n{}", breakout.line, left.join("\n"))
        });
        events.remove(found)
    }

    fn assert_names(event: &Event, end: &str, container: &Container, tenant: &str) {
        let text = |path: &str| event.text(&format!("{end}.{path}")).to_owned();
        assert_eq!(text("attribution"), "named", "{event}");
        assert_eq!(text("tenant"), tenant, "{event}");
        assert_eq!(text("pod.namespace"), container.namespace, "{event}");
        assert_eq!(text("pod.name"), container.pod, "{event}");
        assert_eq!(text("container.id"), container.id, "{event}");
        assert_eq!(text("container.name"), "main", "{event}");
    }

    /// The number of denials of this tenant that the metrics show.
    fn denials(cast: &Cast, tenant: &str, relation: &str) -> f64 {
        let labels = [("tenant", tenant), ("relation", relation), ("effect", "denied")];
        cast.home.metrics().unwrap().sum("bulkhead_verdicts_total", &labels)
    }

    /// Tries everything on a process of somebody else's and expects a refusal of each.
    fn refuse_all_on(
        cast: &Cast,
        actor: &Container,
        pid: u32,
        relation: &str,
        check: impl Fn(&Event),
    ) {
        let breakouts = breakout::on_process(pid);
        let before = denials(cast, &actor.namespace, relation);
        let (ended, mut events) = attempt(cast, actor, &breakouts);
        for (breakout, ended) in breakouts.iter().zip(&ended) {
            assert!(ended.refused(), "`{}` went through: {}", breakout.line, ended.said);
            let event = take(&mut events, breakout, relation);
            assert_eq!(event.text("effect"), "denied", "{event}");
            // A file of procfs that everybody may read has an owner, and is no process.
            if event.text("rule") != "BH-PROC-008" {
                assert_eq!(event.number("target.process.pid"), Some(u64::from(pid)), "{event}");
                check(&event);
            }
        }
        let after = before + breakouts.len() as f64;
        wait_for("the counts", || {
            Ok((denials(cast, &actor.namespace, relation) >= after).then_some(()))
        })
        .unwrap();
    }

    #[test]
    fn containers_of_every_level_start_on_both_runtimes_unseen() {
        let Some(node) = Node::claim("containers of every level start") else { return };
        let cast = cast(&node);
        for container in cast.containers() {
            assert!(container.still_runs().unwrap(), "{container:?}");
            let ended = container.sh("echo in").unwrap();
            assert!(ended.well() && ended.said == "in\n", "{container:?}: {ended:?}");
        }
        let events = cast.home.evidence().events().unwrap();
        let setup: Vec<_> = events.iter().filter(|event| event.is_of_setup()).collect();
        assert!(setup.is_empty(), "the runtime's set-up was judged: {}", setup[0]);
    }

    #[test]
    fn ordinary_work_of_a_container_leaves_no_event() {
        let Some(node) = Node::claim("ordinary work leaves no event") else { return };
        let cast = cast(&node);
        let lines = [
            "ls -la / /proc/self/",
            "ps",
            "sleep 100 & kill $!",
            "cat /proc/self/status /proc/self/maps /proc/self/environ /proc/1/status",
            "mkdir /tmp/w; echo a > /tmp/w/f; cp /tmp/w/f /tmp/w/g; mv /tmp/w/g /tmp/w/h",
            "ln -s f /tmp/w/l; mkfifo /tmp/w/p; chown 1:1 /tmp/w/f; chmod 600 /tmp/w/f",
            "rm -r /tmp/w; rm /etc/passwd; mkdir /etc/passwd; rmdir /etc/passwd",
            "df; mount; free; hostname; date; env; netstat -an; dd if=/dev/zero of=/tmp/z count=9",
            "nc -l -p 80 & sleep 1; kill $!",
            "renice -n 3 -p $$; ulimit -n 100; setsid true; timeout 5 true",
        ];
        let lines: Vec<_> = lines.map(str::to_owned).into();
        for container in cast.containers().filter(|container| container.pod == "plain") {
            let (ended, mut events) = cast.events_of(|| container.each(&lines)).unwrap();
            for (line, ended) in lines.iter().zip(ended) {
                assert!(!ended.refused(), "{}: `{line}`: {}", container.namespace, ended.said);
            }
            events.retain(|event| is_of(event, container));
            assert!(events.is_empty(), "{} events, the first: {}", events.len(), events[0]);
        }
    }

    #[test]
    fn an_untrusted_container_may_have_all_privileges_and_still_not_reach_the_kernel() {
        let Some(node) = Node::claim_with_bpf_lsm("breakouts to the kernel", true) else { return };
        let cast = cast(&node);
        let actor = &cast.untrusted.mighty;
        let breakouts = breakout::on_the_kernel();
        let (ended, mut events) = attempt(cast, actor, &breakouts);
        for (breakout, ended) in breakouts.iter().zip(&ended) {
            assert!(ended.refused(), "`{}` went through: {}", breakout.line, ended.said);
            let event = take(&mut events, breakout, "none");
            assert_eq!(event.text("effect"), "denied", "{event}");
            assert_names(&event, "actor", actor, "team-a");
        }
    }

    #[test]
    fn one_tenant_cannot_touch_a_process_of_another() {
        let Some(node) = Node::claim_with_bpf_lsm("across tenants", true) else { return };
        let cast = cast(&node);
        let pairs = [
            (&cast.untrusted.mighty, &cast.semi_trusted.plain),
            (&cast.semi_trusted.mighty, &cast.untrusted.plain),
        ];
        for (actor, victim) in pairs {
            refuse_all_on(cast, actor, victim.pid, "cross-tenant", |event| {
                assert_names(event, "actor", actor, &actor.namespace);
                assert_names(event, "target", victim, &victim.namespace);
            });
            assert!(victim.still_runs().unwrap());
        }
    }

    #[test]
    fn a_tenant_cannot_touch_a_process_of_the_node() {
        let Some(node) = Node::claim_with_bpf_lsm("to the host", true) else { return };
        let cast = cast(&node);
        for actor in [&cast.untrusted.mighty, &cast.semi_trusted.mighty] {
            refuse_all_on(cast, actor, 1, "host", |event| {
                assert_names(event, "actor", actor, &actor.namespace);
                assert_eq!(event.text("target.attribution"), "host", "{event}");
            });
        }
    }

    #[test]
    fn a_container_may_do_to_itself_what_it_may_not_do_to_others() {
        let Some(node) = Node::claim("within one container") else { return };
        let cast = cast(&node);
        for actor in cast.containers().filter(|container| container.pod == "mighty") {
            // The target is pid 1 of the container: another process, of the same cgroup.
            let own = breakout::on_process(actor.pid);
            let (ended, events) = attempt(cast, actor, &own);
            for (breakout, ended) in own.iter().zip(&ended) {
                // To enter namespaces is more than an act on a process: it takes a capability.
                let entering = breakout.line.starts_with("nsenter");
                assert!(entering || ended.well(), "`{}`: {}", breakout.line, ended.said);
            }
            let crossing: Vec<_> =
                events.iter().filter(|event| event.text("rule").contains("PROC")).collect();
            assert!(crossing.is_empty(), "reported: {}", crossing[0]);
        }
    }

    #[test]
    fn a_container_that_no_policy_names_is_watched_and_never_stopped() {
        let Some(node) = Node::claim("nobody's container") else { return };
        let cast = cast(&node);
        let actor = &cast.stranger;
        let victim = &cast.semi_trusted.plain;
        let mut breakouts = breakout::on_process(victim.pid);
        breakouts.extend(breakout::on_the_kernel());
        let (ended, mut events) = attempt(cast, actor, &breakouts);
        for (breakout, ended) in breakouts.iter().zip(&ended) {
            assert!(!ended.refused(), "`{}`: {}", breakout.line, ended.said);
            let crossing = breakout.rules[0].contains("PROC");
            let relation = if crossing { "cross-tenant" } else { "none" };
            let event = take(&mut events, breakout, relation);
            assert_eq!(event.text("effect"), "observed", "{event}");
            assert_names(&event, "actor", actor, "lab");
        }
        assert!(victim.still_runs().unwrap());
    }
}
