//! Calls of bpf(2) that the library keeps to itself or does not make: links of cgroup programs, whose
//! descriptors it gives to nobody, so that they could not be pinned; what else is attached; many entries of
//! a map at once.
#![allow(unsafe_code)]

use std::{
    ffi::CString,
    io,
    marker::PhantomData,
    mem,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use aya::{
    Pod,
    maps::{Map, MapData, MapError},
    sys::SyscallError,
};
use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd};
use nix::libc;

/// Attaches a program to a cgroup, beside those that are there.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    kind: bpf_attach_type,
) -> io::Result<OwnedFd> {
    // SAFETY: all zeroes is how bpf(2) wants the members that are not set.
    let mut attributes: bpf_attr = unsafe { mem::zeroed() };
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attributes.link_create.__bindgen_anon_2.target_fd = cgroup.as_raw_fd().cast_unsigned();
    attributes.link_create.attach_type = kind as u32;
    let fd = call(bpf_cmd::BPF_LINK_CREATE, &mut attributes)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives a link a file.
pub(super) fn pin(link: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { mem::zeroed() };
    attributes.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attributes.__bindgen_anon_4.bpf_fd = link.as_raw_fd().cast_unsigned();
    call(bpf_cmd::BPF_OBJ_PIN, &mut attributes).map(drop)
}

/// How many device programs are attached to this very cgroup.
pub(crate) fn device_programs(cgroup: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: as above. No room for their numbers: the kernel then only counts.
    let mut attributes: bpf_attr = unsafe { mem::zeroed() };
    attributes.query.__bindgen_anon_1.target_fd = cgroup.as_raw_fd().cast_unsigned();
    attributes.query.attach_type = bpf_attach_type::BPF_CGROUP_DEVICE as u32;
    call(bpf_cmd::BPF_PROG_QUERY, &mut attributes)?;
    // SAFETY: every member of this union is a number of this width, written by the kernel.
    Ok(unsafe { attributes.query.__bindgen_anon_2.prog_cnt })
}

/// Entries that are read in one call at first. A bucket with more asks for twice as many.
const MANY: usize = 1024;

/// A hash map whose entries are read many at a time: the library reads one by one, with two calls each.
#[derive(Debug)]
pub(super) struct Entries<K, V> {
    map: OwnedFd,
    of: PhantomData<(K, V)>,
}

impl<K: Pod, V: Pod> Entries<K, V> {
    /// Those of a map with such keys and values.
    pub(super) fn of(map: &MapData) -> Result<Self, MapError> {
        let info = map.info()?;
        let (key, value) = (mem::size_of::<K>(), mem::size_of::<V>());
        if info.key_size() as usize != key {
            return Err(MapError::InvalidKeySize { size: key, expected: info.key_size() as usize });
        }
        if info.value_size() as usize != value {
            let expected = info.value_size() as usize;
            return Err(MapError::InvalidValueSize { size: value, expected });
        }
        let map = map.fd().as_fd().try_clone_to_owned()?;
        Ok(Self { map, of: PhantomData })
    }

    /// All that are there. What comes and goes meanwhile may be among them or not.
    pub(super) fn read(&self) -> Result<Vec<(K, V)>, MapError> {
        self.read_by(MANY)
    }

    /// The same, at first so many at a time.
    pub(super) fn read_by(&self, mut room: usize) -> Result<Vec<(K, V)>, MapError> {
        let mut entries = Vec::new();
        let mut from = None;
        loop {
            match self.some(&mut from, room, &mut entries) {
                Ok(true) => {}
                Ok(false) => return Ok(entries),
                // ENOSPC: the next bucket has more.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => room *= 2,
                Err(io_error) => {
                    return Err(SyscallError { call: "bpf_map_lookup_batch", io_error }.into());
                }
            }
        }
    }

    /// Removes these. One that is not there is no error.
    pub(super) fn remove(&self, mut keys: &[K]) -> Result<(), MapError> {
        while !keys.is_empty() {
            let (removed, result) = self.remove_some(keys);
            let stopped_at = match result {
                Ok(()) => removed,
                // The one where it stopped is gone already.
                Err(error) if error.kind() == io::ErrorKind::NotFound => removed + 1,
                Err(io_error) => {
                    return Err(SyscallError { call: "bpf_map_delete_batch", io_error }.into());
                }
            };
            keys = keys.get(stopped_at.max(1)..).unwrap_or_default();
        }
        Ok(())
    }

    /// How many were removed, and what stopped it there.
    fn remove_some(&self, keys: &[K]) -> (usize, io::Result<()>) {
        // SAFETY: as above.
        let mut attributes: bpf_attr = unsafe { mem::zeroed() };
        attributes.batch.keys = keys.as_ptr() as u64;
        attributes.batch.count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        attributes.batch.map_fd = self.map.as_raw_fd().cast_unsigned();
        let result = call(bpf_cmd::BPF_MAP_DELETE_BATCH, &mut attributes).map(drop);
        // SAFETY: the member that was written above; the kernel writes how many it has removed over it.
        (unsafe { attributes.batch.count } as usize, result)
    }

    /// Some more, at most `room`; false: these were the last. `from` is where the kernel goes on.
    fn some(
        &self,
        from: &mut Option<u32>,
        room: usize,
        entries: &mut Vec<(K, V)>,
    ) -> io::Result<bool> {
        let mut keys: Vec<K> = Vec::with_capacity(room);
        let mut values: Vec<V> = Vec::with_capacity(room);
        let mut next = 0_u32;
        // SAFETY: as above.
        let mut attributes: bpf_attr = unsafe { mem::zeroed() };
        attributes.batch.in_batch = from.as_ref().map_or(0, |from| std::ptr::from_ref(from) as u64);
        attributes.batch.out_batch = std::ptr::from_mut(&mut next) as u64;
        attributes.batch.keys = keys.as_mut_ptr() as u64;
        attributes.batch.values = values.as_mut_ptr() as u64;
        attributes.batch.count = u32::try_from(room).map_err(io::Error::other)?;
        attributes.batch.map_fd = self.map.as_raw_fd().cast_unsigned();
        let more = match call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attributes) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        // SAFETY: the member that was written above; the kernel writes how many there are over it.
        let count = unsafe { attributes.batch.count } as usize;
        // SAFETY: there is room for `room`, the kernel has written `count` of each, never more than it was
        // asked for, and any bytes are a value of such types.
        unsafe {
            keys.set_len(count.min(room));
            values.set_len(count.min(room));
        }
        entries.extend(keys.into_iter().zip(values));
        *from = Some(next);
        Ok(more)
    }
}

/// The data of a hash map.
pub(super) fn data_of(map: &Map) -> Option<&MapData> {
    match map {
        Map::HashMap(data) | Map::LruHashMap(data) => Some(data),
        _ => None,
    }
}

fn call(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<RawFd> {
    let length = mem::size_of::<bpf_attr>();
    // SAFETY: the attributes are as long as is said and outlive the call; what they point to does too.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, std::ptr::from_mut(attributes), length)
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(answer).map_err(io::Error::other)
}
