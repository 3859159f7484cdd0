//! Files, inodes, dentries, mounts and superblocks.

use bulkhead_guard::files::FMODE_WRITE;

use super::*;

/// A `struct file` that is being opened or passed.
#[derive(Clone, Copy)]
pub struct OpenFile(pub Object);

impl OpenFile {
    #[inline(always)]
    pub fn inode(self) -> Inode {
        Inode(field(self.0, FILE_INODE))
    }

    #[inline(always)]
    pub fn mode(self) -> u32 {
        field(self.0, FILE_MODE)
    }

    #[inline(always)]
    pub fn flags(self) -> u32 {
        field(self.0, FILE_FLAGS)
    }

    /// Address of the dentry.
    #[inline(always)]
    pub fn dentry(self) -> u64 {
        file_dentry(self.0 as u64)
    }

    /// Number of the mount namespace in which it was opened.
    #[inline(always)]
    pub fn mount_namespace(self) -> u32 {
        mount_namespace_of(path_mount(FILE_PATH.of(self.0 as u64)))
    }
}

/// Whether a file is opened for writing, or its inode stands for a device: both in one question.
#[inline(always)]
pub fn is_written_or_device(file: OpenFile, inode: Inode) -> bool {
    let writing = field_32(file.0, FILE_MODE) & u64::from(FMODE_WRITE);
    writing | field_32(inode.0, INODE_RDEV) != 0
}

/// Address of the dentry of the file at `address`.
#[inline(always)]
pub fn file_dentry(address: u64) -> u64 {
    path_dentry(FILE_PATH.of(address))
}

/// The inode of the file at `address`.
#[inline(always)]
pub fn file_inode(address: u64) -> InodeAddress {
    InodeAddress(read_at(address, FILE_INODE))
}

/// Address of the dentry of the `struct path` at `address`.
#[inline(always)]
pub fn path_dentry(address: u64) -> u64 {
    read_at(address, PATH_DENTRY)
}

/// An inode that the verifier knows.
#[derive(Clone, Copy)]
pub struct Inode(pub Object);

impl Inode {
    #[inline(always)]
    pub fn address(self) -> InodeAddress {
        InodeAddress(address_of(self.0))
    }

    #[inline(always)]
    pub fn mode(self) -> u32 {
        u32::from(field::<u16, _>(self.0, INODE_MODE))
    }

    /// The number of the device that it stands for; 0 for what is no device.
    #[inline(always)]
    pub fn device_number(self) -> u32 {
        field(self.0, INODE_RDEV)
    }

    /// Blocks that it takes up. What a kernel file system makes up takes none.
    #[inline(always)]
    pub fn blocks(self) -> u64 {
        field(self.0, INODE_BLOCKS)
    }

    /// The device of its file system.
    #[inline(always)]
    pub fn device(self) -> u32 {
        let superblock: Object = field(self.0, INODE_SB);
        field(superblock, SB_DEV)
    }

    #[inline(always)]
    pub fn magic(self) -> u64 {
        let superblock: Object = field(self.0, INODE_SB);
        field(superblock, SB_MAGIC)
    }
}

/// An inode by its bare address, read by copying.
#[derive(Clone, Copy)]
pub struct InodeAddress(pub u64);

impl InodeAddress {
    #[inline(always)]
    pub fn number(self) -> u64 {
        read_at(self.0, INODE_INO)
    }

    #[inline(always)]
    pub fn mode(self) -> u32 {
        u32::from(read_at::<u16, _>(self.0, INODE_MODE))
    }

    /// The number of the device that it stands for.
    #[inline(always)]
    pub fn device_number(self) -> u32 {
        read_at(self.0, INODE_RDEV)
    }

    #[inline(always)]
    pub fn links(self) -> u32 {
        read_at(self.0, INODE_NLINK)
    }

    #[inline(always)]
    pub fn superblock(self) -> Superblock {
        Superblock(read_at(self.0, INODE_SB))
    }
}

/// A dentry's inode; address 0 where it has none yet.
#[inline(always)]
pub fn dentry_inode(dentry: u64) -> InodeAddress {
    InodeAddress(read_at(dentry, DENTRY_INODE))
}

/// The file system of a dentry and of all above it.
#[inline(always)]
pub fn dentry_superblock(dentry: u64) -> Superblock {
    Superblock(read_at(dentry, DENTRY_SB))
}

/// Address of a dentry's parent; a root is its own.
#[inline(always)]
pub fn dentry_parent(dentry: u64) -> u64 {
    read_at(dentry, DENTRY_PARENT)
}

/// Length and address of a dentry's own name.
#[inline(always)]
pub fn dentry_name(dentry: u64) -> (u32, u64) {
    let name = DENTRY_NAME.of(dentry);
    (read_at(name, QSTR_LEN), read_at(name, QSTR_NAME))
}

/// The kernel's hash of a dentry's own name, and its length. The kernel salts it with an address that
/// no tenant knows.
#[inline(always)]
pub fn dentry_name_hash(dentry: u64) -> u64 {
    // include/linux/dcache.h: struct qstr begins with hash and len, in one number of 64 bits.
    read_at(dentry, DENTRY_NAME)
}

/// A superblock by its bare address, read by copying.
#[derive(Clone, Copy)]
pub struct Superblock(pub u64);

impl Superblock {
    #[inline(always)]
    pub fn magic(self) -> u64 {
        read_at(self.0, SB_MAGIC)
    }

    #[inline(always)]
    pub fn device(self) -> u32 {
        read_at(self.0, SB_DEV)
    }

    #[inline(always)]
    pub fn is_on_block_device(self) -> bool {
        read_at::<u64, _>(self.0, SB_BDEV) != 0
    }

    /// Address of the name of its type.
    #[inline(always)]
    pub fn type_name(self) -> u64 {
        read_at(read_at(self.0, SB_TYPE), FS_TYPE_NAME)
    }

    /// Address of its root dentry.
    #[inline(always)]
    pub fn root(self) -> u64 {
        read_at(self.0, SB_ROOT)
    }
}

/// The superblock of a mount.
#[inline(always)]
pub fn mount_superblock(mount: u64) -> Superblock {
    Superblock(read_at(mount, VFSMOUNT_SB))
}

/// Number of the mount namespace that a mount is attached in; 0 where it is in none.
#[inline(always)]
pub fn mount_namespace_of(mount: u64) -> u32 {
    let whole = MOUNT_SELF.around(mount);
    let namespace: u64 = read_at(whole, MOUNT_NAMESPACE);
    namespace_number(namespace, MNT_NS_COMMON)
}

/// Address of the mount of the `struct path` at `address`.
#[inline(always)]
pub fn path_mount(address: u64) -> u64 {
    read_at(address, PATH_MOUNT)
}

/// Address of the task that a `struct pid` stands for, 0 where it has ended.
#[inline(always)]
pub fn task_of_pid(pid: u64) -> u64 {
    // The first list is that of the thread itself (PIDTYPE_PID).
    let link: u64 = if pid == 0 { 0 } else { read_at(pid, PID_TASKS) };
    if link == 0 { 0 } else { TASK_PID_LINKS.around(link) }
}

/// Address of the task that a file of procfs tells about, 0 where it is about none.
#[inline(always)]
pub fn task_of_proc_inode(inode: u64) -> u64 {
    let whole = PROC_INODE_SELF.around(inode);
    task_of_pid(read_at(whole, PROC_INODE_PID))
}

/// Address of the file that an exec is about.
#[inline(always)]
pub fn program_file(bprm: u64) -> u64 {
    read_at(bprm, BPRM_FILE)
}
