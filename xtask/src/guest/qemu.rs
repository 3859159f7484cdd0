//! QEMU's command line for a node.

use std::path::Path;
use std::process::Command;

use super::image::Image;
use super::{Init, NodeArguments};

/// The streams between guest and runner; each is a virtio port and a socket of this name.
pub(crate) const STREAMS: [&str; 3] = ["out", "err", "status"];

/// Where the console of the guest's kernel goes.
#[derive(Debug)]
pub(crate) enum Console<'a> {
    /// To a file; command and output have their own streams.
    File(&'a Path),
    /// To this terminal, which is the guest's keyboard too.
    Terminal,
}

/// A QEMU that boots this node.
///
/// Everything is emulated (TCG): hardware virtualisation is often not to be had where tests run.
pub(crate) fn command(
    node: &NodeArguments,
    image: &Image,
    share: &Path,
    sockets: &Path,
    console: &Console<'_>,
) -> Command {
    // The guest must not outlive its runner, however that ends.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
    qemu.args(["-name", "bulkhead-guest", "-nodefaults", "-no-user-config", "-display", "none"]);
    // A panicking guest reboots at once, which ends QEMU.
    qemu.args(["-no-reboot", "-machine", "pc", "-nic", "none"]);
    // One processor for every run, so that figures compare with those measured elsewhere on it.
    qemu.args(["-cpu", "max,la57=off"]);
    if node.icount {
        qemu.args(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1"]);
    } else {
        qemu.args(["-accel", "tcg,thread=multi", "-smp", &node.cpus.to_string()]);
    }
    qemu.arg("-m").arg(format!("{}M", node.mem));
    qemu.arg("-kernel").arg(&image.vmlinux).arg("-append").arg(kernel_command_line(node));
    // One NVMe disk alone: several have no stable order. `snapshot` keeps the image as it is.
    drive(&mut qemu, "root", &image.disk, "snapshot=on", "nvme");
    drive(&mut qemu, "share", share, "readonly=on", "virtio-blk-pci");
    if let Some(programs) = &image.programs {
        drive(&mut qemu, "programs", programs, "readonly=on", "virtio-blk-pci");
    }
    qemu.args(["-device", "virtio-rng-pci"]);
    match console {
        Console::File(path) => {
            qemu.arg("-chardev").arg(format!("file,id=console,path={}", escape(path)));
            qemu.args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
            for stream in STREAMS {
                let socket = escape(&sockets.join(stream));
                qemu.arg("-chardev").arg(format!("socket,id={stream},path={socket}"));
                qemu.arg("-device");
                qemu.arg(format!("virtserialport,chardev={stream},name=bulkhead.{stream}"));
            }
        }
        Console::Terminal => {
            qemu.args(["-serial", "mon:stdio"]);
        }
    }
    qemu
}

fn drive(qemu: &mut Command, name: &str, file: &Path, mode: &str, device: &str) {
    let file = escape(file);
    qemu.arg("-drive").arg(format!("if=none,id={name},format=raw,{mode},file={file}"));
    qemu.arg("-device").arg(format!("{device},drive={name},serial={name}"));
}

/// In QEMU's options a comma ends a value unless it is doubled.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

fn kernel_command_line(node: &NodeArguments) -> String {
    let init = match node.init {
        Init::Tiny => "/usr/lib/bulkhead-guest/init",
        Init::Systemd => "/usr/lib/systemd/systemd systemd.show_status=no",
    };
    // `mitigations=off`, the timer words and a boot without the kernel's tests of its own ciphers
    // save emulated time; none changes what is tested.
    format!(
        "console=ttyS0 quiet loglevel=4 root=/dev/nvme0n1 rw rootfstype=ext4 \
         lsm={} panic=-1 mitigations=off no_timer_check tsc=reliable cryptomgr.notests=1 \
         init={init}",
        node.lsm
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command::line;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        node: NodeArguments,
    }

    fn assembled(arguments: &[&str]) -> String {
        let node = Cli::parse_from([&["guest"], arguments].concat()).node;
        let image = Image {
            disk: "/c/a,b/root.ext4".into(),
            vmlinux: "/c/vmlinux".into(),
            programs: node.programs.then(|| "/c/programs.ext4".into()),
        };
        let console = Console::File(Path::new("/r/console"));
        line(&command(&node, &image, Path::new("/r/share"), Path::new("/r"), &console))
    }

    #[test]
    fn the_image_is_never_written_and_commas_in_paths_are_kept() {
        let line = assembled(&[]);
        assert!(line.contains("id=root,format=raw,snapshot=on,file=/c/a,,b/root.ext4"), "{line}");
        assert!(line.contains("id=share,format=raw,readonly=on,file=/r/share"), "{line}");
    }

    #[test]
    fn the_disk_of_programs_is_there_only_where_it_is_wanted_and_never_written() {
        let line = assembled(&["--programs"]);
        assert!(
            line.contains("id=programs,format=raw,readonly=on,file=/c/programs.ext4"),
            "{line}"
        );
        assert!(line.contains("serial=programs"), "{line}");
        assert!(!assembled(&[]).contains("programs"));
    }

    #[test]
    fn counting_instructions_means_one_cpu_and_no_sleep() {
        let line = assembled(&["--icount"]);
        assert!(line.contains("-icount shift=0,sleep=off -smp 1 "), "{line}");
        assert!(assembled(&["--cpus", "3"]).contains("-smp 3 "));
    }

    #[test]
    fn the_security_modules_and_the_init_are_those_asked_for() {
        let line = assembled(&["--lsm", "yama,apparmor", "--init", "systemd"]);
        assert!(line.contains(" lsm=yama,apparmor panic=-1 "), "{line}");
        assert!(line.contains(" init=/usr/lib/systemd/systemd "), "{line}");
    }

    #[test]
    fn a_panic_ends_qemu_instead_of_booting_again() {
        let line = assembled(&[]);
        assert!(line.contains(" -no-reboot ") && line.contains(" panic=-1 "), "{line}");
    }

    #[test]
    fn each_stream_has_a_socket_and_a_port_of_its_name() {
        let line = assembled(&[]);
        for stream in STREAMS {
            assert!(line.contains(&format!("id={stream},path=/r/{stream} ")), "{line}");
            assert!(line.contains(&format!("chardev={stream},name=bulkhead.{stream}")), "{line}");
        }
    }
}
