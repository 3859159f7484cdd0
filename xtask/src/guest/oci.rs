//! Container images without a registry: an OCI archive of a static busybox, under two names.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::{cache, command};

/// Goes up when the archive's content changes.
pub(crate) const BUILDER: &str = "2";

/// The image that pods' containers use.
const BUSYBOX: &str = "localhost/bulkhead/busybox:1";

/// The image of the container that holds a pod's namespaces.
const PAUSE: &str = "localhost/bulkhead/pause:1";

/// The image of ordinary programs. Its layer here is a mark: the content comes as a disk.
const PROGRAMS: &str = "localhost/bulkhead/programs:1";

/// The file by which the layer of that image is found among the unpacked ones.
const PROGRAMS_MARK: &str = ".bulkhead-programs";

/// What every container finds its programs by.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/opt/bulkhead";

/// What a layer is told to be.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Directories that programs expect, and one where tests mount the share.
const DIRECTORIES: [&str; 14] = [
    "bin",
    "dev",
    "etc",
    "home",
    "opt",
    "opt/bulkhead",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "var",
];

/// Writes the archive of what every node has, to be imported by `ctr images import`.
pub(crate) fn write_archive(busybox: &Path, dest: &Path) -> Result<()> {
    let mut archive = Archive::begin(dest)?;
    let layer = archive.blob(LAYER, &layer(busybox)?)?;
    archive.image(BUSYBOX, &layer, &["/bin/sh"])?;
    archive.image(PAUSE, &layer, &["/bin/busybox", "sleep", "2147483647"])?;
    archive.finish()
}

/// Writes the archive of the image of ordinary programs.
pub(crate) fn write_programs(dest: &Path) -> Result<()> {
    let mut tar = Builder::new(Vec::new());
    tar.append_data(&mut header(EntryType::Regular, 0o644), PROGRAMS_MARK, [].as_slice())?;
    let mut archive = Archive::begin(dest)?;
    let layer = archive.blob(LAYER, &tar.into_inner()?)?;
    archive.image(PROGRAMS, &layer, &["/bin/sh"])?;
    archive.finish()
}

/// An OCI image layout inside a tar file.
struct Archive<W: Write> {
    tar: Builder<W>,
    manifests: Vec<Value>,
}

impl Archive<File> {
    fn begin(dest: &Path) -> Result<Self> {
        let file = File::create(dest).with_context(|| format!("cannot make {}", dest.display()))?;
        let mut archive = Self { tar: Builder::new(file), manifests: Vec::new() };
        archive
            .file("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().as_bytes())?;
        Ok(archive)
    }

    fn finish(mut self) -> Result<()> {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        self.file("index.json", index.to_string().as_bytes())?;
        self.tar.into_inner()?.flush().context("cannot finish the archive of images")
    }
}

impl<W: Write> Archive<W> {
    fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let mut header = header(EntryType::Regular, 0o644);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, path, content)?;
        Ok(())
    }

    /// Adds a blob under its digest and returns its descriptor.
    fn blob(&mut self, media_type: &str, content: &[u8]) -> Result<Value> {
        let digest = cache::hex(&Sha256::digest(content));
        self.file(&format!("blobs/sha256/{digest}"), content)?;
        Ok(json!({
            "mediaType": media_type,
            "digest": format!("sha256:{digest}"),
            "size": content.len(),
        }))
    }

    /// Adds an image of one layer. The layer is not packed, so its digest is its `diff_id` too.
    fn image(&mut self, name: &str, layer: &Value, entrypoint: &[&str]) -> Result<()> {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "Env": [PATH]},
            "rootfs": {"type": "layers", "diff_ids": [layer.get("digest")]},
        });
        let config =
            self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config,
            "layers": [layer],
        });
        let manifest = self.blob(media_type, manifest.to_string().as_bytes())?;
        self.manifests.push(json!({
            "mediaType": media_type,
            "digest": manifest.get("digest"),
            "size": manifest.get("size"),
            "annotations": {"io.containerd.image.name": name},
            "platform": {"architecture": "amd64", "os": "linux"},
        }));
        Ok(())
    }
}

/// The root file system of both images, as a tar file.
fn layer(busybox: &Path) -> Result<Vec<u8>> {
    let program =
        fs::read(busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
    let applets = command::output(Command::new(busybox).arg("--list"))?;
    let mut tar = Builder::new(Vec::new());
    for directory in DIRECTORIES {
        let mode = if directory == "tmp" { 0o1777 } else { 0o755 };
        tar.append_data(&mut header(EntryType::Directory, mode), directory, [].as_slice())?;
    }
    let mut file = |path: &str, mode: u32, content: &[u8]| {
        let mut header = header(EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content)
    };
    file("bin/busybox", 0o755, &program)?;
    file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")?;
    file("etc/group", 0o644, b"root:x:0:\nuser:x:1000:\n")?;
    for applet in applets.lines().filter(|name| *name != "busybox") {
        let path = format!("bin/{applet}");
        tar.append_link(&mut header(EntryType::Symlink, 0o777), path, "busybox")?;
    }
    Ok(tar.into_inner()?)
}

/// The same for every build: no time, root's.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
