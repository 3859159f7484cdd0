//! What a container runtime sends to its plugin.

use std::{cell::RefCell, time::Duration};

use bulkhead_nri::{
    Call, Plugin, Refusal, Runtime,
    api::{Container, ContainerAdjustment, ContainerUpdate, LinuxResources, PodSandbox},
    double,
};
use tokio::runtime::{Builder, Runtime as Loop};

thread_local! {
    static LOOP: RefCell<Loop> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("a loop"));
}

/// Every call is answered, once, in frames that a runtime takes.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let mut plugin = Agreeable::default();
    let fed = LOOP.with_borrow(|it| it.block_on(double::feed(&mut plugin, bytes)));
    assert_eq!(fed.answers, plugin.answered, "{}", fed.why);
    plugin.configured
}

/// Agrees to everything, and says back what it is told.
#[derive(Default)]
struct Agreeable {
    configured: bool,
    answered: usize,
}

impl Plugin for Agreeable {
    fn configured(&mut self, _: &Runtime) {
        self.configured = true;
    }

    fn synchronize(&mut self, _: Vec<PodSandbox>, all: Vec<Container>) -> Vec<ContainerUpdate> {
        let update = |it: Container| ContainerUpdate { container_id: it.id, ..Default::default() };
        all.into_iter().map(update).collect()
    }

    fn create(&mut self, _: PodSandbox, it: Container) -> Result<ContainerAdjustment, Refusal> {
        Ok(ContainerAdjustment { rlimits: it.rlimits, ..Default::default() })
    }

    async fn start(&mut self, _: PodSandbox, _: Container) {}

    fn update(
        &mut self,
        _: PodSandbox,
        _: Container,
        resources: LinuxResources,
    ) -> Result<Option<LinuxResources>, Refusal> {
        Ok(Some(resources))
    }

    fn validate(
        &mut self,
        _: PodSandbox,
        it: Container,
        _: ContainerAdjustment,
    ) -> Result<(), Refusal> {
        Err(Refusal(it.name))
    }

    fn removed(&mut self, _: Container) {}

    fn answered(&mut self, _: Call, _: Duration, _: bool) {
        self.answered += 1;
    }

    fn disconnected(&mut self, _: &str) {}
}
