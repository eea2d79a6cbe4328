// SPDX-License-Identifier: Apache-2.0
//
// gavel.rs - gavel's plugin interface as a state machine needs it: <gavel/statemachine.h> and what it includes, ABI 1.1,
// word for word. The comments are there; the layout is asserted at compile time, here as in the headers. Nothing else
// is needed: no crate, no bindgen, no cargo.
//
// A table of a later ABI only has more members at its end, and its `size` says how far it goes: so these stay right.
#![allow(dead_code)]

use std::ffi::c_void;
use std::fmt::Write;
use std::mem::size_of;
use std::os::raw::c_char;

pub const ABI_MAJOR: u64 = 1;
pub const ABI_MINOR: u64 = 1; // the oldest host that these declarations run on

// ---- abi.h

pub const OK: i32 = 0;
pub const E_INVALID: i32 = -1;
pub const E_NOT_FOUND: i32 = -2;
pub const E_EXISTS: i32 = -3;
pub const E_CONDITION: i32 = -4;
pub const E_STATE: i32 = -5;
pub const E_TOO_LARGE: i32 = -6;
pub const E_CORRUPT: i32 = -13;
pub const E_NO_MEMORY: i32 = -16;
pub const E_LOCAL: i32 = -17;
pub const E_VERSION: i32 = -23;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    pub data: *const u8,
    pub size: u64,
}

impl Slice {
    pub const NONE: Slice = Slice { data: std::ptr::null(), size: 0 };

    pub fn of(bytes: &[u8]) -> Slice {
        Slice { data: bytes.as_ptr(), size: bytes.len() as u64 }
    }

    /// The bytes; an empty slice may have any pointer.
    ///
    /// # Safety
    /// The host lends them for the length of the call, and the caller keeps them no longer.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 { &[] } else { std::slice::from_raw_parts(self.data, self.size as usize) }
    }
}

#[repr(C)]
pub struct Error {
    pub code: i64,
    pub text: [u8; 504],
}

// Writes into the text of an Error; what does not fit is cut off at a whole character.
struct Sentence<'a> {
    text: &'a mut [u8; 504],
    used: usize,
}

impl Write for Sentence<'_> {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let mut take = part.len().min(self.text.len() - 1 - self.used);
        while !part.is_char_boundary(take) {
            take -= 1;
        }
        self.text[self.used..self.used + take].copy_from_slice(&part.as_bytes()[..take]);
        self.used += take;
        if take == part.len() { Ok(()) } else { Err(std::fmt::Error) }
    }
}

/// Fill an error, which may be absent, and return its code.
///
/// # Safety
/// `error` is null or the host's.
pub unsafe fn fail(error: *mut Error, code: i32, arguments: std::fmt::Arguments) -> i32 {
    if let Some(error) = error.as_mut() {
        error.code = code as i64;
        let mut sentence = Sentence { text: &mut error.text, used: 0 };
        let _ = sentence.write_fmt(arguments);
        let used = sentence.used;
        error.text[used] = 0;
    }
    code
}

#[repr(C)]
pub struct Heap {
    pub size: u64,
    pub this: *mut c_void,
    pub resize: unsafe extern "C" fn(this: *mut c_void, old: *mut c_void, wanted: u64) -> *mut c_void,
}

#[repr(C)]
pub struct Buffer {
    pub data: *mut u8,
    pub size: u64,
    pub capacity: u64,
    pub heap: *const Heap,
    pub limit: u64,
}

impl Buffer {
    /// Append; nothing is changed on failure.
    ///
    /// # Safety
    /// The buffer is the host's: its memory belongs to its heap.
    pub unsafe fn append(&mut self, bytes: &[u8]) -> i32 {
        let wanted = match self.size.checked_add(bytes.len() as u64) {
            Some(wanted) if self.limit == 0 || wanted <= self.limit => wanted,
            _ => return E_TOO_LARGE,
        };
        if wanted > self.capacity {
            let heap = &*self.heap;
            let data = (heap.resize)(heap.this, self.data as *mut c_void, wanted);
            if data.is_null() {
                return E_NO_MEMORY;
            }
            self.data = data as *mut u8;
            self.capacity = wanted;
        }
        if !bytes.is_empty() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.data.add(self.size as usize), bytes.len());
        }
        self.size = wanted;
        OK
    }
}

// ---- field.h

pub const BOOL: u64 = 1;
pub const UINT: u64 = 2;
pub const INT: u64 = 3;
pub const REAL: u64 = 4;
pub const DURATION: u64 = 5;
pub const SIZE: u64 = 6;
pub const STRING: u64 = 7;
pub const BYTES: u64 = 8;
pub const VALUE: u64 = 9;

pub const REQUIRED: u64 = 1;
pub const KEY: u64 = 2;
pub const SECRET: u64 = 4;
pub const RELOADABLE: u64 = 8;
pub const REPLICATED: u64 = 16;
pub const DEPRECATED: u64 = 32;

#[repr(C)]
pub struct Field {
    pub name: *const c_char,
    pub id: u64,
    pub kind: u64, // `type` is a word of the language
    pub flags: u64,
    pub offset: u64,
    pub fallback: *const c_char,
    pub min: i64,
    pub max: i64,
    pub choices: *const *const c_char,
    pub unit: *const c_char,
    pub help: *const c_char,
    pub sub: *const Fields,
    pub element: u64,
}

impl Field {
    /// The plain meaning of everything that is not said.
    pub const PLAIN: Field = Field {
        name: std::ptr::null(),
        id: 0,
        kind: 0,
        flags: 0,
        offset: 0,
        fallback: std::ptr::null(),
        min: 0,
        max: 0,
        choices: std::ptr::null(),
        unit: std::ptr::null(),
        help: std::ptr::null(),
        sub: std::ptr::null(),
        element: 0,
    };
}

#[repr(C)]
pub struct Fields {
    pub rows: *const Field,
    pub count: u64,
    pub stride: u64,
    pub struct_size: u64,
}

// ---- host.h

pub const LOG_INFO: u64 = 3;
pub const LOG_WARN: u64 = 4;

/// The services after `log` are for plugins that live on the loop; a state machine needs none of them.
#[repr(C)]
pub struct Host {
    pub size: u64,
    pub this: *mut c_void,
    pub abi_major: u64,
    pub abi_minor: u64,
    pub node: *const c_char,
    pub instance: *const c_char,
    pub event_loop: *mut c_void,
    pub heap: *const Heap,
    pub log: Option<unsafe extern "C" fn(this: *mut c_void, level: u64, module: *const c_char, text: Slice)>,
    pub services: [*const c_void; 14],
}

// ---- plugin.h

pub const KIND_STATEMACHINE: u64 = 3;

#[repr(C)]
pub struct Plugin {
    pub size: u64,
    pub abi_major: u64,
    pub abi_minor: u64,
    pub kind: u64,
    pub name: *const c_char,
    pub version: *const c_char,
    pub summary: *const c_char,
    pub options: *const Fields,
    pub operations: *const c_void,
    pub check: Option<unsafe extern "C" fn(host: *const Host, options: *const c_void, error: *mut Error) -> i32>,
    pub create: unsafe extern "C" fn(
        host: *const Host,
        options: *const c_void,
        this: *mut *mut c_void,
        error: *mut Error,
    ) -> i32,
    pub start: Option<unsafe extern "C" fn(this: *mut c_void, error: *mut Error) -> i32>,
    pub reload: Option<unsafe extern "C" fn(this: *mut c_void, options: *const c_void, error: *mut Error) -> i32>,
    pub quiesce: Option<
        unsafe extern "C" fn(
            this: *mut c_void,
            done: unsafe extern "C" fn(context: *mut c_void),
            context: *mut c_void,
        ),
    >,
    pub destroy: unsafe extern "C" fn(this: *mut c_void),
}

// ---- serializer.h: the writer of results

#[repr(C)]
pub struct WriterOps {
    pub size: u64,
    pub map: unsafe extern "C" fn(writer: *mut Writer, count: u64),
    pub array: unsafe extern "C" fn(writer: *mut Writer, count: u64),
    pub end: unsafe extern "C" fn(writer: *mut Writer),
    pub key: unsafe extern "C" fn(writer: *mut Writer, name: Slice, number: u64),
    pub nil: unsafe extern "C" fn(writer: *mut Writer),
    pub boolean: unsafe extern "C" fn(writer: *mut Writer, value: u64),
    pub uint: unsafe extern "C" fn(writer: *mut Writer, value: u64),
    pub sint: unsafe extern "C" fn(writer: *mut Writer, value: i64),
    pub real: unsafe extern "C" fn(writer: *mut Writer, value: f64),
    pub string: unsafe extern "C" fn(writer: *mut Writer, utf8: Slice),
    pub bytes: unsafe extern "C" fn(writer: *mut Writer, bytes: Slice),
    pub msgpack: Option<unsafe extern "C" fn(writer: *mut Writer, value: Slice)>,
}

#[repr(C)]
pub struct Writer {
    pub ops: *const WriterOps,
}

// ---- statemachine.h

pub const BOUNDED: u64 = 1;
pub const CONCURRENT: u64 = 2;
pub const WRITE: u64 = 1;
pub const READ: u64 = 2;
pub const INTERNAL: u64 = 4;

#[repr(C)]
pub struct Call {
    pub size: u64,
    pub index: u64,
    pub term: u64,
    pub wall_ms: u64,
    pub tick_ms: u64,
    pub seed: u64,
    pub principal: Slice,
    pub read_only: u64,
    pub machine: u64,
    pub state_version: u64,
}

#[repr(C)]
pub struct Event {
    pub size: u64,
    pub kind: *const c_char,
    pub key: Slice,
    pub value: Slice,
    pub previous: Slice,
}

#[repr(C)]
pub struct Reply {
    pub size: u64,
    pub context: *mut c_void,
    pub out: *mut Writer,
    pub error: *mut Error,
    pub emit: Option<unsafe extern "C" fn(context: *mut c_void, event: *const Event)>,
}

impl Reply {
    /// Refuse: the sentence is replicated, so the same on every node.
    pub fn refuse(&mut self, code: i32, arguments: std::fmt::Arguments) -> i32 {
        unsafe { fail(self.error, code, arguments) }
    }

    pub fn put_int(&mut self, value: i64) {
        unsafe { ((*(*self.out).ops).sint)(self.out, value) }
    }

    pub fn put_string(&mut self, utf8: &[u8]) {
        unsafe { ((*(*self.out).ops).string)(self.out, Slice::of(utf8)) }
    }

    pub fn put_key(&mut self, name: &str) {
        unsafe { ((*(*self.out).ops).key)(self.out, Slice::of(name.as_bytes()), 0) }
    }

    pub fn put_map(&mut self, count: u64) {
        unsafe { ((*(*self.out).ops).map)(self.out, count) }
    }

    pub fn put_array(&mut self, count: u64) {
        unsafe { ((*(*self.out).ops).array)(self.out, count) }
    }

    pub fn put_end(&mut self) {
        unsafe { ((*(*self.out).ops).end)(self.out) }
    }
}

#[repr(C)]
pub struct Command {
    pub name: *const c_char,
    pub id: u64,
    pub flags: u64,
    pub arguments: *const Fields,
    pub run: unsafe extern "C" fn(
        this: *mut c_void,
        call: *const Call,
        arguments: *const c_void,
        reply: *mut Reply,
    ) -> i32,
    pub help: *const c_char,
    pub example: *const c_char,
}

#[repr(C)]
pub struct MachineState {
    pub size: u64,
    pub digest: [u64; 2],
    pub entries: u64,
    pub changelog: u64,
}

#[repr(C)]
pub struct StateMachine {
    pub size: u64,
    pub flags: u64,
    pub state_version: u64,
    pub commands: *const Command,
    pub command_count: u64,
    pub command_stride: u64,
    pub state: unsafe extern "C" fn(this: *mut c_void, state: *mut MachineState),
    pub snapshot_begin:
        unsafe extern "C" fn(this: *mut c_void, snapshot: *mut *mut c_void, error: *mut Error) -> i32,
    pub snapshot_next: unsafe extern "C" fn(
        this: *mut c_void,
        snapshot: *mut c_void,
        chunk: *mut Buffer,
        error: *mut Error,
    ) -> i32,
    pub snapshot_end: unsafe extern "C" fn(this: *mut c_void, snapshot: *mut c_void),
    pub restore_begin: unsafe extern "C" fn(this: *mut c_void, state_version: u64, error: *mut Error) -> i32,
    pub restore_chunk: unsafe extern "C" fn(this: *mut c_void, chunk: Slice, error: *mut Error) -> i32,
    pub restore_end: unsafe extern "C" fn(this: *mut c_void, error: *mut Error) -> i32,
    pub maintain: Option<unsafe extern "C" fn(this: *mut c_void, tick_ms: u64, arguments: *mut Buffer) -> u64>,
    pub state_version_oldest: u64,
    pub act_as: Option<unsafe extern "C" fn(this: *mut c_void, state_version: u64, error: *mut Error) -> i32>,
    pub configure: Option<unsafe extern "C" fn(this: *mut c_void, options: *const c_void, error: *mut Error) -> i32>,
}

// ---- digests

/// Mix bytes into a running hash; gavel_mix of the header, to the bit.
fn mix(mut hash: u64, data: &[u8]) -> u64 {
    let words = data.chunks_exact(8);
    let rest = words.remainder();
    for word in words {
        let mut bytes = [0u8; 8];
        bytes.copy_from_slice(word);
        hash = (hash ^ u64::from_le_bytes(bytes)).wrapping_mul(0x9fb21c651e98df25);
        hash ^= hash >> 32;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100000001b3);
        hash ^= hash >> 29;
    }
    hash
}

/// Put a (key, value) pair of the state into the sum; order does not matter.
pub fn digest_add(sum: &mut [u64; 2], key: &[u8], value: &[u8]) {
    for (i, seed) in [0x27d4eb2f165667c5u64, 0xcbf29ce484222325].iter().enumerate() {
        let mut hash = (seed ^ key.len() as u64).wrapping_mul(0xff51afd7ed558ccd);
        hash = mix(hash, key);
        hash = (hash ^ value.len() as u64).wrapping_mul(0xff51afd7ed558ccd);
        hash = mix(hash, value);
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xc4ceb9fe1a85ec53);
        sum[i] = sum[i].wrapping_add(hash ^ hash >> 29);
    }
}

// ---- tables are constant and shared by all threads; the layout is the headers'

unsafe impl Sync for Field {}
unsafe impl Sync for Fields {}
unsafe impl Sync for Command {}
unsafe impl Sync for StateMachine {}
unsafe impl Sync for Plugin {}

/// A constant C string.
#[macro_export]
macro_rules! c {
    ($text:expr) => {
        concat!($text, "\0").as_ptr() as *const std::os::raw::c_char
    };
}

/// The offset of the member that comes behind members of these types. Every member is a multiple of 8 bytes wide, so
/// there is no padding; the size of the whole struct is asserted beside it.
#[macro_export]
macro_rules! behind {
    ($($member:ty),*) => { (0 $(+ std::mem::size_of::<$member>())*) as u64 };
}

const _: () = assert!(size_of::<*const c_void>() == 8);
const _: () = assert!(size_of::<Slice>() == 16);
const _: () = assert!(size_of::<Error>() == 512);
const _: () = assert!(size_of::<Heap>() == 24);
const _: () = assert!(size_of::<Buffer>() == 40);
const _: () = assert!(size_of::<Field>() == 104);
const _: () = assert!(size_of::<Fields>() == 32);
const _: () = assert!(size_of::<Host>() == 8 * 23);
const _: () = assert!(size_of::<Plugin>() == 8 * 15);
const _: () = assert!(size_of::<WriterOps>() == 104);
const _: () = assert!(size_of::<Writer>() == 8);
const _: () = assert!(size_of::<Call>() == 88);
const _: () = assert!(size_of::<Event>() == 64);
const _: () = assert!(size_of::<Reply>() == 40);
const _: () = assert!(size_of::<Command>() == 56);
const _: () = assert!(size_of::<MachineState>() == 40);
const _: () = assert!(size_of::<StateMachine>() == 136);
