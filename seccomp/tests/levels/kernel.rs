//! The running kernel under the real filters, against the simulation.
//!
//! A filter is a thread's own, so each test takes one on in a thread of its own, which then ends.
#![allow(unsafe_code)]

use bulkhead_seccomp::{Action, Arch, Profile, Simulation, calls, compile, levels, parse};
use nix::{errno::Errno, libc};

use crate::behaviours::REFUSED;

/// Makes a call that the filter is to refuse. None of them would do harm if it did not.
fn make(call: &str, arguments: [u64; 6]) -> Result<i64, Errno> {
    let number = i64::from(calls::number(Arch::native(), call).unwrap());
    let [a0, a1, a2, a3, a4, a5] = arguments;
    // SAFETY: the arguments are numbers that no call takes for memory of this process: null, small
    // numbers, flags.
    Errno::result(unsafe { libc::syscall(number, a0, a1, a2, a3, a4, a5) })
}

/// Runs `act` in a thread that has loaded the profile, as a runtime loads it.
fn under<T: Send + 'static>(profile: Profile, act: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        let (mut context, _) = compile::build(&profile, Arch::native()).unwrap();
        // Whoever has no privilege must give up gaining any.
        context.set_ctl_nnp(true).unwrap();
        context.load().unwrap();
        act()
    });
    thread.join().unwrap()
}

fn six(arguments: &[u64]) -> [u64; 6] {
    let mut six = [0; 6];
    six[..arguments.len()].copy_from_slice(arguments);
    six
}

#[test]
fn the_kernel_refuses_what_the_simulation_says_with_the_error_it_says() {
    for level in levels::LEVELS {
        let profile = levels::profile(level).unwrap().unwrap();
        let simulation = Simulation::of(&profile).unwrap();
        let made = under(profile, move || {
            let mut made = 0;
            for (behaviour, call, arguments, _) in REFUSED {
                let arguments = six(arguments);
                let answer = simulation.ask(Arch::native(), call, arguments).unwrap();
                let Some(Action::Errno(errno)) = answer.map(|answer| answer.action) else {
                    continue;
                };
                let expected = Err(Errno::from_raw(i32::from(errno)));
                assert_eq!(make(call, arguments), expected, "{behaviour} {level} {call}");
                made += 1;
            }
            made
        });
        assert!(made > 30, "{level}: {made} calls were made");
    }
}

#[test]
fn the_kernel_allows_what_the_simulation_says() {
    // What would otherwise succeed, so that an error can only come from the filter.
    let harmless: [(&str, &[u64]); 7] = [
        ("getpid", &[]),
        ("socket", &[1, 1, 0]),
        ("socket", &[2, 0x80001, 0]),
        ("socket", &[16, 0x80003, 0]),
        ("personality", &[0xffff_ffff]),
        ("sched_yield", &[]),
        ("umask", &[0o22]),
    ];
    for level in levels::LEVELS {
        under(levels::profile(level).unwrap().unwrap(), move || {
            for (call, arguments) in harmless {
                let result = make(call, six(arguments));
                assert!(result.is_ok(), "{level} {call} {arguments:x?}: {result:?}");
            }
        });
    }
}

/// Each way of comparing, at the values where the answer changes.
#[test]
fn kernel_and_simulation_compare_arguments_alike() {
    let operators = ["NE", "LT", "LE", "EQ", "GE", "GT"];
    let mut texts: Vec<_> = operators
        .iter()
        .map(|op| format!(r#"{{"index":1,"op":"SCMP_CMP_{op}","value":4294967297}}"#))
        .collect();
    texts.push(
        r#"{"index":1,"op":"SCMP_CMP_MASKED_EQ","value":12884901891,"valueTwo":4294967298}"#.into(),
    );
    for text in texts {
        let profile = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["getpriority"],
                "action":"SCMP_ACT_ERRNO","errnoRet":97,"args":[{text}]}}]}}"#
        );
        let profile = parse(profile.as_bytes()).unwrap().profile;
        let simulation = Simulation::of(&profile).unwrap();
        let values = [0, 1, 2, 1 << 32, (1 << 32) + 1, (1 << 32) + 2, (2 << 32) + 1, u64::MAX];
        under(profile, move || {
            for value in values {
                let arguments = six(&[7, value]);
                let answer = simulation.ask(Arch::native(), "getpriority", arguments).unwrap();
                let refused = make("getpriority", arguments) == Err(Errno::EAFNOSUPPORT);
                let said = answer.unwrap().action == Action::Errno(97);
                assert_eq!(refused, said, "{text} {value:#x}");
            }
        });
    }
}
