//! The same work on many things, several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, anyhow};

/// Does `work` with each item and its number, so many at a time; what came of it, in no order. The first
/// error ends its worker, and is the answer.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(usize, &T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<R>> {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { return Ok(done) };
            done.push(work(number, item)?);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(items.len())).map(|_| scope.spawn(worker)).collect();
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.join().map_err(|_| anyhow!("a worker panicked"))??);
        }
        Ok(done)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[test]
    fn each_item_is_worked_on_once_however_many_work() {
        let items: Vec<usize> = (0..100).collect();
        for jobs in [1, 3, 200] {
            let mut done = each(&items, jobs, |number, item| Ok((number, *item))).unwrap();
            done.sort_unstable();
            assert!(done.into_iter().eq((0..100).map(|it| (it, it))), "{jobs} jobs");
        }
        assert!(each(&[] as &[u8], 2, |_, _| Ok(())).unwrap().is_empty());
    }

    #[test]
    fn an_error_is_the_answer() {
        let odd = each(&[2, 3, 4], 2, |_, item| {
            ensure!(item % 2 == 0, "{item} is odd");
            Ok(())
        });
        assert_eq!(odd.unwrap_err().to_string(), "3 is odd");
    }
}
