// SPDX-License-Identifier: Apache-2.0
//
// my-plugin.rs - a bank: accounts, deposits, and transfers that happen whole or not at all, the same on every node.
//
// Change it into yours from the top down. The host checks arguments by the table below and logs them; then a command
// runs on every node in the same order. It may look at its arguments, the state, the options and `call`, and at
// nothing else: no clock, no random number, no file. What it answers, a refusal too, is replicated with it.
//
// The border to the host is C. A panic aborts the node (-C panic=abort) instead of crossing it, and memory is taken
// once, in create, so that no command can lack any.

#[macro_use]
mod gavel;

use gavel::*;
use std::alloc::{alloc, dealloc, Layout};
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr::null;

const NAME_BYTES_MAX: usize = 48;
const ACCOUNTS_MAX: usize = 1024;

#[repr(C)]
struct Options {
    present: u64, // begins every struct that a field table describes
    overdraft: u64,
}
const _: () = assert!(size_of::<Options>() == 16);

static OPTION_ROWS: [Field; 1] = [Field {
    name: c!("overdraft"),
    id: 1,
    kind: UINT,
    flags: REPLICATED,
    offset: behind!(u64),
    fallback: c!("0"),
    max: 1000000,
    unit: c!("coins"),
    help: c!("how far a transfer may take an account below zero"),
    ..Field::PLAIN
}];
static OPTION_FIELDS: Fields = fields(&OPTION_ROWS, 1, size_of::<Options>());

#[repr(C)]
struct Given {
    present: u64,
    account: Slice,
    amount: i64,
    to: Slice,
}
const _: () = assert!(size_of::<Given>() as u64 == behind!(u64, Slice, i64, Slice));

static ROWS: [Field; 3] = [
    Field {
        name: c!("account"),
        id: 1,
        kind: STRING,
        flags: REQUIRED | KEY,
        offset: behind!(u64),
        min: 1,
        max: NAME_BYTES_MAX as i64,
        unit: c!("bytes"),
        help: c!("whose account"),
        ..Field::PLAIN
    },
    Field {
        name: c!("amount"),
        id: 2,
        kind: INT,
        flags: REQUIRED,
        offset: behind!(u64, Slice),
        min: 1,
        max: 1 << 50,
        help: c!("how much, in the smallest coin"),
        ..Field::PLAIN
    },
    Field {
        name: c!("to"),
        id: 3,
        kind: STRING,
        flags: REQUIRED | KEY,
        offset: behind!(u64, Slice, i64),
        min: 1,
        max: NAME_BYTES_MAX as i64,
        unit: c!("bytes"),
        help: c!("who is paid"),
        ..Field::PLAIN
    },
];
static ACCOUNT_FIELDS: Fields = fields(&ROWS, 1, size_of::<Given>());
static DEPOSIT_FIELDS: Fields = fields(&ROWS, 2, size_of::<Given>());
static TRANSFER_FIELDS: Fields = fields(&ROWS, 3, size_of::<Given>());

/// The first `count` of `rows`, as a table over a struct of that size.
const fn fields(rows: &[Field], count: u64, struct_size: usize) -> Fields {
    Fields { rows: rows.as_ptr(), count, stride: size_of::<Field>() as u64, struct_size: struct_size as u64 }
}

/// Printable ASCII: what an account may be called, whether it comes from a client or out of a snapshot.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.iter().all(|byte| (0x20..=0x7e).contains(byte))
}

/// One account, as it is in memory and in a snapshot; the banks in C and in C++ write the same.
#[repr(C)]
#[derive(Clone, Copy)]
struct Account {
    balance: i64,
    size: u64,
    name: [u8; NAME_BYTES_MAX], // zeros behind it
}
const _: () = assert!(size_of::<Account>() == 64);

impl Account {
    fn name(&self) -> &[u8] {
        &self.name[..self.size as usize]
    }

    /// Set the balance and tell whoever watches (in MessagePack: 0xd3 and eight bytes, the biggest first).
    fn set(&mut self, balance: i64, reply: &mut Reply) {
        let mut value = [0xd3u8; 9];
        value[1..].copy_from_slice(&balance.to_be_bytes());
        self.balance = balance;
        let event = Event {
            size: size_of::<Event>() as u64,
            kind: c!("balance"),
            key: Slice::of(self.name()),
            value: Slice::of(&value),
            previous: Slice::NONE,
        };
        if let Some(emit) = reply.emit {
            unsafe { emit(reply.context, &event) }
        }
    }
}

struct Bank {
    options: *const Options, // the host's, valid until configure gives others, or destroy
    accounts: Vec<Account>,  // sorted by name
}

impl Bank {
    /// Where the account of that name is, or would have to be.
    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.accounts.binary_search_by(|account| account.name().cmp(name))
    }

    fn find(&self, name: Slice, reply: &mut Reply) -> Result<usize, i32> {
        let name = unsafe { name.bytes() };
        self.place(name).map_err(|_| {
            let text = String::from_utf8_lossy(name);
            reply.refuse(E_NOT_FOUND, format_args!("there is no account \"{}\"", text))
        })
    }

    // ---- commands: every reason to refuse comes before the first change

    fn open(&mut self, given: &Given, reply: &mut Reply) -> Result<(), i32> {
        let name = unsafe { given.account.bytes() };
        if !is_name(name) {
            return Err(reply.refuse(E_INVALID, format_args!("the name of an account is printable ASCII")));
        }
        let at = match self.place(name) {
            Ok(_) => return Err(reply.refuse(E_EXISTS, format_args!("this account is open already"))),
            Err(at) => at,
        };
        if self.accounts.len() == ACCOUNTS_MAX {
            return Err(reply.refuse(E_TOO_LARGE, format_args!("no more than {} accounts fit", ACCOUNTS_MAX)));
        }
        let mut account = Account { balance: 0, size: name.len() as u64, name: [0; NAME_BYTES_MAX] };
        account.name[..name.len()].copy_from_slice(name); // the table bounds it
        self.accounts.insert(at, account);
        self.accounts[at].set(0, reply);
        reply.put_int(0);
        Ok(())
    }

    fn deposit(&mut self, given: &Given, reply: &mut Reply) -> Result<(), i32> {
        let at = self.find(given.account, reply)?;
        let sum = match self.accounts[at].balance.checked_add(given.amount) {
            Some(sum) => sum,
            None => return Err(reply.refuse(E_INVALID, format_args!("no account can hold as much"))),
        };
        self.accounts[at].set(sum, reply);
        reply.put_int(sum);
        Ok(())
    }

    fn transfer(&mut self, given: &Given, reply: &mut Reply) -> Result<(), i32> {
        let from = self.find(given.account, reply)?;
        let to = self.find(given.to, reply)?;
        let has = self.accounts[from].balance;
        if from == to {
            return Err(reply.refuse(E_INVALID, format_args!("an account cannot pay itself")));
        }
        if has < given.amount - unsafe { (*self.options).overdraft } as i64 {
            return Err(reply.refuse(E_CONDITION, format_args!("{} is not enough to pay {}", has, given.amount)));
        }
        let sum = match self.accounts[to].balance.checked_add(given.amount) {
            Some(sum) => sum,
            None => return Err(reply.refuse(E_INVALID, format_args!("no account can hold as much"))),
        };
        self.accounts[from].set(has - given.amount, reply);
        self.accounts[to].set(sum, reply);
        reply.put_int(has - given.amount);
        Ok(())
    }

    fn balance(&mut self, given: &Given, reply: &mut Reply) -> Result<(), i32> {
        let at = self.find(given.account, reply)?;
        reply.put_int(self.accounts[at].balance);
        Ok(())
    }

    fn list(&mut self, _: &Given, reply: &mut Reply) -> Result<(), i32> {
        reply.put_array(self.accounts.len() as u64);
        for account in &self.accounts {
            reply.put_map(2);
            reply.put_key("account");
            reply.put_string(account.name());
            reply.put_key("balance");
            reply.put_int(account.balance);
            reply.put_end();
        }
        reply.put_end();
        Ok(())
    }

    // ---- restore: a snapshot may be damaged or forged, so whatever the commands rely on is checked

    fn restore(&mut self, chunk: &[u8], error: *mut Error) -> i32 {
        let count = chunk.len() / size_of::<Account>();
        if chunk.len() % size_of::<Account>() != 0 || count > ACCOUNTS_MAX - self.accounts.len() {
            return unsafe { fail(error, E_CORRUPT, format_args!("{} bytes are no accounts", chunk.len())) };
        }
        for record in chunk.chunks_exact(size_of::<Account>()) {
            // Any 64 bytes are an Account of some kind; whether they are a good one is asked below.
            let account = unsafe { std::ptr::read_unaligned(record.as_ptr() as *const Account) };
            let good = account.size <= NAME_BYTES_MAX as u64
                && is_name(account.name())
                && account.name[account.size as usize..].iter().all(|byte| *byte == 0)
                && self.accounts.last().map_or(true, |last| last.name() < account.name());
            if !good {
                let at = self.accounts.len();
                return unsafe { fail(error, E_CORRUPT, format_args!("account {} is damaged or out of order", at)) };
            }
            self.accounts.push(account);
        }
        OK
    }
}

// ---- the border to C

type Method = fn(&mut Bank, &Given, &mut Reply) -> Result<(), i32>;

/// Call a method with what the host hands over; `list` has no arguments, and gets none to look at.
unsafe fn run(method: Method, this: *mut c_void, arguments: *const c_void, reply: *mut Reply) -> i32 {
    let nothing = Given { present: 0, account: Slice::NONE, amount: 0, to: Slice::NONE };
    let given = (arguments as *const Given).as_ref().unwrap_or(&nothing);
    match method(&mut *(this as *mut Bank), given, &mut *reply) {
        Ok(()) => OK,
        Err(code) => code,
    }
}

macro_rules! command {
    ($method:ident) => {{
        unsafe extern "C" fn call(this: *mut c_void, _: *const Call, given: *const c_void, reply: *mut Reply) -> i32 {
            run(Bank::$method, this, given, reply)
        }
        call
    }};
}

// An id is in the log: never use it again for another command, nor a row's id for another field.
static COMMANDS: [Command; 5] = [
    Command {
        name: c!("open"),
        id: 1,
        flags: WRITE,
        arguments: &ACCOUNT_FIELDS,
        run: command!(open),
        help: c!("Open an account with nothing in it"),
        example: c!("account=ann"),
    },
    Command {
        name: c!("deposit"),
        id: 2,
        flags: WRITE,
        arguments: &DEPOSIT_FIELDS,
        run: command!(deposit),
        help: c!("Pay in, and answer the new balance"),
        example: c!("ann 100"),
    },
    Command {
        name: c!("transfer"),
        id: 3,
        flags: WRITE,
        arguments: &TRANSFER_FIELDS,
        run: command!(transfer),
        help: c!("Pay somebody, and answer what is left"),
        example: c!("account=ann amount=30 to=bob"),
    },
    Command {
        name: c!("balance"),
        id: 4,
        flags: READ,
        arguments: &ACCOUNT_FIELDS,
        run: command!(balance),
        help: c!("Answer what is in an account"),
        example: c!("ann"),
    },
    Command {
        name: c!("list"),
        id: 5,
        flags: READ,
        arguments: null(),
        run: command!(list),
        help: c!("Answer all accounts in the order of their names"),
        example: null(),
    },
];

/// What replicas compare: who differs is named and fenced. With more state than this, keep the sum up to date in run.
unsafe extern "C" fn tell_state(this: *mut c_void, state: *mut MachineState) {
    let bank = &*(this as *const Bank);
    let mut digest = [0u64; 2];
    for account in &bank.accounts {
        digest_add(&mut digest, account.name(), &account.balance.to_le_bytes());
    }
    (*state).digest = digest;
    (*state).entries = bank.accounts.len() as u64;
    (*state).changelog = 0;
}

// Without CONCURRENT no command runs between begin and end: there is nothing to hold, and one chunk is all.
unsafe extern "C" fn snapshot_begin(this: *mut c_void, snapshot: *mut *mut c_void, _: *mut Error) -> i32 {
    *snapshot = this;
    OK
}

unsafe extern "C" fn snapshot_next(this: *mut c_void, _: *mut c_void, chunk: *mut Buffer, error: *mut Error) -> i32 {
    let bank = &*(this as *const Bank);
    let size = bank.accounts.len() * size_of::<Account>();
    let bytes = std::slice::from_raw_parts(bank.accounts.as_ptr() as *const u8, size);
    if (*chunk).append(bytes) != OK {
        return fail(error, E_NO_MEMORY, format_args!("no memory for a snapshot of {} bytes", size));
    }
    0 // 1: there is more
}

unsafe extern "C" fn snapshot_end(_: *mut c_void, _: *mut c_void) {}

unsafe extern "C" fn restore_begin(this: *mut c_void, state_version: u64, error: *mut Error) -> i32 {
    (*(this as *mut Bank)).accounts.clear();
    if state_version == 1 {
        OK
    } else {
        fail(error, E_VERSION, format_args!("only state version 1 is known"))
    }
}

unsafe extern "C" fn restore_chunk(this: *mut c_void, chunk: Slice, error: *mut Error) -> i32 {
    (*(this as *mut Bank)).restore(chunk.bytes(), error)
}

unsafe extern "C" fn restore_end(_: *mut c_void, _: *mut Error) -> i32 {
    OK
}

unsafe extern "C" fn create(_: *const Host, options: *const c_void, this: *mut *mut c_void, error: *mut Error) -> i32 {
    let place = alloc(Layout::new::<Bank>()) as *mut Bank; // Box::new would abort when memory is out
    let mut accounts = Vec::new();
    if place.is_null() || accounts.try_reserve_exact(ACCOUNTS_MAX).is_err() {
        if !place.is_null() {
            dealloc(place as *mut u8, Layout::new::<Bank>());
        }
        return fail(error, E_NO_MEMORY, format_args!("no memory for {} accounts", ACCOUNTS_MAX));
    }
    place.write(Bank { options: options as *const Options, accounts });
    *this = place as *mut c_void;
    OK
}

/// gavel settings set: new values from the next command on, on every node at the same entry of the log.
unsafe extern "C" fn configure(this: *mut c_void, options: *const c_void, _: *mut Error) -> i32 {
    (*(this as *mut Bank)).options = options as *const Options;
    OK
}

unsafe extern "C" fn destroy(this: *mut c_void) {
    drop(Box::from_raw(this as *mut Bank));
}

static OPERATIONS: StateMachine = StateMachine {
    size: size_of::<StateMachine>() as u64,
    flags: BOUNDED,   // no command blocks or takes long
    state_version: 1, // of what commands mean: a new outcome for an old entry needs a new number
    commands: COMMANDS.as_ptr(),
    command_count: COMMANDS.len() as u64,
    command_stride: size_of::<Command>() as u64,
    state: tell_state,
    snapshot_begin,
    snapshot_next,
    snapshot_end,
    restore_begin,
    restore_chunk,
    restore_end,
    maintain: None,
    state_version_oldest: 0,
    act_as: None,
    configure: Some(configure),
};

static PLUGIN: Plugin = Plugin {
    size: size_of::<Plugin>() as u64,
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    kind: KIND_STATEMACHINE,
    name: c!("my-plugin"),
    version: c!(env!("PACKAGE_VERSION")),
    summary: c!("Accounts, and transfers between them"),
    options: &OPTION_FIELDS,
    operations: &OPERATIONS as *const StateMachine as *const c_void,
    check: None,
    create,
    start: None,
    reload: None,
    quiesce: None,
    destroy,
};

/// The one exported symbol.
#[no_mangle]
pub extern "C" fn gavel_plugin_my_plugin() -> *const Plugin {
    &PLUGIN
}
