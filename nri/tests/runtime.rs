//! The plugin's side against a runtime that is as strict as the real ones.

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use bulkhead_nri::{
        Backoff, Call, NriVersion, Plugin, Refusal, Runtime,
        api::{self, Event},
        double::{Double, DoubleError, Persona, adjusted},
        run,
    };
    use tokio::{io::AsyncWriteExt, sync::mpsc};

    /// What the plugin under test has been told.
    #[derive(Debug, PartialEq, Eq)]
    enum Told {
        Configured(NriVersion),
        Synchronized(usize, usize),
        Started(String),
        Removed(String),
        Disconnected(String),
    }

    struct Probe {
        told: mpsc::UnboundedSender<Told>,
        /// Names in the seccomp policy that it answers with.
        names: usize,
        slow: Duration,
    }

    impl Plugin for Probe {
        fn configured(&mut self, runtime: &Runtime) {
            self.told.send(Told::Configured(runtime.nri)).unwrap();
        }

        fn synchronize(
            &mut self,
            pods: Vec<api::PodSandbox>,
            containers: Vec<api::Container>,
        ) -> Vec<api::ContainerUpdate> {
            self.told.send(Told::Synchronized(pods.len(), containers.len())).unwrap();
            let update = |container: api::Container| api::ContainerUpdate {
                container_id: container.id,
                ..Default::default()
            };
            containers.into_iter().map(update).collect()
        }

        fn create(
            &mut self,
            _pod: api::PodSandbox,
            container: api::Container,
        ) -> Result<api::ContainerAdjustment, Refusal> {
            std::thread::sleep(self.slow);
            if container.name == "bad" {
                return Err(Refusal("not this one".into()));
            }
            let names = (0..self.names).map(|at| format!("system_call_{at}")).collect();
            let syscall =
                api::LinuxSyscall { names, action: "SCMP_ACT_ALLOW".into(), ..Default::default() };
            let policy = api::LinuxSeccomp {
                default_action: "SCMP_ACT_ERRNO".into(),
                default_errno: Some(api::OptionalUInt32 { value: 38 }),
                syscalls: vec![syscall],
                ..Default::default()
            };
            Ok(api::ContainerAdjustment {
                linux: Some(api::LinuxContainerAdjustment {
                    seccomp_policy: Some(policy),
                    ..Default::default()
                }),
                ..Default::default()
            })
        }

        async fn start(&mut self, _pod: api::PodSandbox, container: api::Container) {
            self.told.send(Told::Started(container.id)).unwrap();
        }

        fn update(
            &mut self,
            _pod: api::PodSandbox,
            _container: api::Container,
            mut resources: api::LinuxResources,
        ) -> Result<Option<api::LinuxResources>, Refusal> {
            resources.unified.insert("pids.max".into(), "7".into());
            Ok(Some(resources))
        }

        fn validate(
            &mut self,
            _pod: api::PodSandbox,
            _container: api::Container,
            adjustment: api::ContainerAdjustment,
        ) -> Result<(), Refusal> {
            match adjustment.linux {
                Some(_) => Ok(()),
                None => Err(Refusal("nothing left of the adjustment".into())),
            }
        }

        fn removed(&mut self, container: api::Container) {
            self.told.send(Told::Removed(container.id)).unwrap();
        }

        fn answered(&mut self, _call: Call, _took: Duration, _refused: bool) {}

        fn disconnected(&mut self, why: &str) {
            self.told.send(Told::Disconnected(why.into())).unwrap();
        }
    }

    struct Scene {
        directory: tempfile::TempDir,
        told: mpsc::UnboundedReceiver<Told>,
    }

    impl Scene {
        /// A plugin that runs for ever, before its runtime does.
        fn begin(names: usize, slow: Duration) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("nri.sock");
            let (sender, told) = mpsc::unbounded_channel();
            // A thread of its own: a plugin that is slow must not stop the runtime's clock.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let mut probe = Probe { told: sender, names, slow };
                    let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
                    match run(&mut probe, &path, "probe", "07", backoff).await {}
                });
            });
            Self { directory, told }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("nri.sock")
        }

        fn double(&self, persona: Persona) -> Double {
            Double::listen(&self.path(), persona).unwrap()
        }

        async fn await_told(&mut self, wanted: impl Fn(&Told) -> bool) -> Told {
            let found = async {
                loop {
                    let told = self.told.recv().await.unwrap();
                    if wanted(&told) {
                        return told;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(20), found).await.expect("it was never told")
        }
    }

    fn pod() -> api::PodSandbox {
        api::PodSandbox { id: "p".into(), namespace: "team-a".into(), ..Default::default() }
    }

    fn container(id: usize, name: &str) -> api::Container {
        api::Container { id: format!("c{id}"), name: name.into(), ..Default::default() }
    }

    /// A runtime of each generation.
    const GENERATIONS: [(&str, u32); 6] =
        [("1.7.24", 6), ("2.1.9", 8), ("2.2.0", 10), ("2.2.5", 11), ("2.3.0", 12), ("1.7.0", 3)];

    #[tokio::test]
    async fn a_plugin_lives_with_every_generation_of_runtimes() {
        for (version, nri) in GENERATIONS {
            let mut scene = Scene::begin(400, Duration::ZERO);
            let double = scene.double(Persona::containerd(version, nri));
            let mut runtime =
                double.accept().await.unwrap_or_else(|error| panic!("{version}: {error}"));
            assert_eq!(runtime.plugin(), "07-probe");
            assert!(runtime.subscribed(Event::CreateContainer));
            assert_eq!(runtime.subscribed(Event::ValidateContainerAdjustment), nri >= 10);
            assert!(runtime.synchronize(vec![], vec![], 8).await.unwrap().is_empty());
            let adjustment = runtime.create(&pod(), &container(1, "good")).await.unwrap().unwrap();
            let made = adjusted(&container(1, "good"), &adjustment, NriVersion::new(0, nri));
            let policy = made.linux.unwrap_or_default().seccomp_policy;
            assert_eq!(policy.is_some(), nri >= 10, "{version}");
            assert!(policy.is_none_or(|policy| policy.default_errno.is_none()));
            runtime.happen(Event::StartContainer, &pod(), &container(1, "good")).await.unwrap();
            runtime.happen(Event::StopContainer, &pod(), &container(1, "good")).await.unwrap();
            runtime.happen(Event::RemoveContainer, &pod(), &container(1, "good")).await.unwrap();
            assert_eq!(
                scene.await_told(|told| matches!(told, Told::Started(_))).await,
                Told::Started("c1".into())
            );
            scene.await_told(|told| *told == Told::Removed("c1".into())).await;
        }
    }

    #[tokio::test]
    async fn an_answer_larger_than_the_runtime_s_buffer_arrives_whole() {
        let scene = Scene::begin(3_000, Duration::ZERO);
        let double = scene.double(Persona::containerd("2.2.0", 10));
        let mut runtime = double.accept().await.unwrap();
        let adjustment = runtime.create(&pod(), &container(1, "good")).await.unwrap().unwrap();
        let policy = adjustment.linux.unwrap().seccomp_policy.unwrap();
        assert_eq!(policy.syscalls[0].names.len(), 3_000);
    }

    #[tokio::test]
    async fn a_refusal_is_an_error_and_the_next_container_is_made() {
        let scene = Scene::begin(1, Duration::ZERO);
        let double = scene.double(Persona::containerd("2.1.9", 8));
        let mut runtime = double.accept().await.unwrap();
        let refused = runtime.create(&pod(), &container(1, "bad")).await.unwrap_err();
        assert!(matches!(refused, DoubleError::Refused(why) if why == "not this one"));
        assert!(runtime.create(&pod(), &container(2, "good")).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_runs_already_is_told_in_parts_and_adopted_as_one() {
        let mut scene = Scene::begin(1, Duration::ZERO);
        let double = scene.double(Persona::containerd("2.1.9", 8));
        let mut runtime = double.accept().await.unwrap();
        let containers: Vec<_> = (0..100).map(|at| container(at, "good")).collect();
        let updates = runtime.synchronize(vec![pod(); 30], containers, 8).await.unwrap();
        assert_eq!(updates.len(), 100);
        scene.await_told(|told| *told == Told::Synchronized(30, 100)).await;
    }

    #[tokio::test]
    async fn an_update_and_a_validation_are_answered() {
        let scene = Scene::begin(1, Duration::ZERO);
        let double = scene.double(Persona::containerd("2.2.0", 10));
        let mut runtime = double.accept().await.unwrap();
        let wanted = api::LinuxResources::default();
        let updates = runtime.update(&pod(), &container(3, "good"), &wanted).await.unwrap();
        let resources = updates[0].linux.clone().unwrap().resources.unwrap();
        assert_eq!(
            (updates[0].container_id.as_str(), resources.unified["pids.max"].as_str()),
            ("c3", "7")
        );
        let nothing = api::ContainerAdjustment::default();
        let reason = runtime.validate(&pod(), &container(3, "good"), &nothing).await.unwrap();
        assert_eq!(reason.as_deref(), Some("nothing left of the adjustment"));
    }

    #[tokio::test]
    async fn a_slow_plugin_is_closed_and_comes_back() {
        let scene = Scene::begin(1, Duration::from_millis(300));
        let hasty =
            Persona { timeout: Duration::from_millis(100), ..Persona::containerd("2.1.9", 8) };
        let double = scene.double(hasty);
        let mut runtime = double.accept().await.unwrap();
        assert!(runtime.create(&pod(), &container(1, "good")).await.unwrap().is_none(), "open");
        drop(runtime);
        double.accept().await.unwrap();
    }

    #[tokio::test]
    async fn a_runtime_that_restarts_is_met_again_at_a_new_socket() {
        let mut scene = Scene::begin(1, Duration::ZERO);
        let double = scene.double(Persona::containerd("2.1.9", 8));
        let runtime = double.accept().await.unwrap();
        drop((runtime, double));
        std::fs::remove_file(scene.path()).unwrap();
        scene
            .await_told(|told| matches!(told, Told::Disconnected(why) if why.contains("reach")))
            .await;
        let double = scene.double(Persona::containerd("2.3.0", 12));
        let mut runtime = double.accept().await.unwrap();
        assert!(runtime.create(&pod(), &container(1, "good")).await.unwrap().is_some());
        scene.await_told(|told| *told == Told::Configured(NriVersion::new(0, 12))).await;
    }

    #[tokio::test]
    async fn garbage_is_refused_by_its_name_and_the_next_runtime_is_met() {
        let cases: [(&[u8], &str); 5] = [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "connection"),
            (&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff], "frame of 4294967295 bytes"),
            (
                &[0, 0, 0, 1, 0, 0, 0, 10, 0xff, 0, 0, 0, 0, 0, 0, 1, 1, 0],
                "message of 4278190080 bytes",
            ),
            (&[0, 0, 0, 1, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 9, 0], "type 9"),
            (
                &[0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0xff, 0xff],
                "cannot be read",
            ),
        ];
        let mut scene = Scene::begin(1, Duration::ZERO);
        for (garbage, words) in cases {
            let double = scene.double(Persona::containerd("2.1.9", 8));
            let mut raw = double.accept_raw().await.unwrap();
            raw.write_all(garbage).await.unwrap();
            let told = scene
                .await_told(|told| matches!(told, Told::Disconnected(why) if why.contains(words)))
                .await;
            assert!(matches!(told, Told::Disconnected(_)));
            drop(raw);
            double.accept().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_call_that_nobody_knows_is_answered_and_the_session_goes_on() {
        let scene = Scene::begin(1, Duration::ZERO);
        let double = scene.double(Persona::containerd("2.3.0", 12));
        let mut runtime = double.accept().await.unwrap();
        let unknown =
            runtime.call::<_, api::Empty>("FutureThing", &api::Empty {}).await.unwrap_err();
        assert!(matches!(unknown, DoubleError::Refused(why) if why.contains("FutureThing")));
        assert!(runtime.create(&pod(), &container(1, "good")).await.unwrap().is_some());
    }
}
