//! Agents in Rust: the message, the draft and the host calls of agent ABI v1 (docs/agent-abi.md).
//! An agent is a type that implements `Agent` and `Default`, and says `caxton::agent!(ThatType);`.

/// The host calls as they are; the functions below are what an agent needs.
pub mod host {
    #[link(wasm_import_module = "caxton")]
    extern "C" {
        pub fn send(draft: *const u8, bytes: usize);
        pub fn ask(draft: *const u8, bytes: usize, timeout_ms: i32) -> i64;
        pub fn reply(draft: *const u8, bytes: usize);
        pub fn fail(reason: *const u8, bytes: usize) -> !;
        pub fn state_get(key: *const u8, key_bytes: usize, buffer: *mut u8, bytes: usize) -> i32;
        pub fn state_put(key: *const u8, key_bytes: usize, value: *const u8, bytes: usize);
        pub fn state_delete(key: *const u8, key_bytes: usize);
        pub fn state_list(prefix: *const u8, prefix_bytes: usize, buffer: *mut u8, bytes: usize) -> i32;
        pub fn emit(topic: *const u8, topic_bytes: usize, content: *const u8, bytes: usize);
        pub fn timer_set(id: i64, delay_ms: i32, content: *const u8, bytes: usize);
        pub fn timer_cancel(id: i64);
        pub fn log(level: i32, text: *const u8, bytes: usize);
        pub fn now() -> f64;
        pub fn random() -> f64;
        pub fn config_get(key: *const u8, key_bytes: usize, buffer: *mut u8, bytes: usize) -> i32;
        pub fn flag_get(key: *const u8, key_bytes: usize) -> i32;
        #[link_name = "self"]
        pub fn own_address(buffer: *mut u8, bytes: usize) -> i32;
    }
}

pub const WANTS_REPLY: u16 = 1;
pub const IS_REPLY: u16 = 2;
pub const IS_FAILURE: u16 = 4;
pub const IS_TIMER: u16 = 8;
pub const FROM_CLIENT: u16 = 16;

/// Codes of performatives and content types that agents use most; the tables are in docs/agent-abi.md.
pub const INFORM: u8 = 0;
pub const REQUEST: u8 = 1;
pub const BYTES: u8 = 0;
pub const JSON: u8 = 1;
pub const TEXT: u8 = 2;
/// The name stands in an extension.
pub const OTHER: u8 = 255;

/// Tags of extensions.
pub const CONVERSATION_ID: u8 = 1;
pub const REPLY_WITH: u8 = 2;
pub const IN_REPLY_TO: u8 = 3;
pub const REPLY_BY: u8 = 4;
pub const ONTOLOGY: u8 = 5;
pub const LANGUAGE: u8 = 6;
pub const PROTOCOL: u8 = 7;
pub const PERFORMATIVE: u8 = 8;
pub const CONTENT_TYPE: u8 = 9;
pub const HEADER: u8 = 10;
pub const ERROR_CODE: u8 = 12;

const MESSAGE_HEADER_BYTES: usize = 32;
const DRAFT_HEADER_BYTES: usize = 16;

/// What a handler says at its end.
pub enum Handled {
    Done = 0,
    /// It waits for a reply or timer, which arrives as a message of its own.
    Open = 1,
}

pub trait Agent: Default {
    fn on_message(&mut self, message: &Message) -> Handled;
}

/// State that goes over to another version of the agent; needs `caxton::state!(ThatType);`.
pub trait State {
    fn export_state(&self) -> Vec<u8>;
    /// False refuses what is no state of this agent.
    fn import_state(&mut self, state: &[u8]) -> bool;
}

/// One message as the host wrote it.
pub struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Message { bytes }
    }

    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes[at..at + 2].try_into().unwrap())
    }

    fn u32_at(&self, at: usize) -> usize {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap()) as usize
    }

    /// The variable part of that number: id, sender, receiver, extensions, content.
    fn part(&self, wanted: usize) -> &'a [u8] {
        let lengths = [
            usize::from(self.u16_at(8)),
            usize::from(self.u16_at(10)),
            usize::from(self.u16_at(12)),
            self.u32_at(16),
            self.u32_at(20),
        ];
        let start = MESSAGE_HEADER_BYTES + lengths[..wanted].iter().sum::<usize>();
        &self.bytes[start..start + lengths[wanted]]
    }

    pub fn has(&self, flag: u16) -> bool {
        self.u16_at(4) & flag != 0
    }

    pub fn performative(&self) -> u8 {
        self.bytes[6]
    }

    pub fn content_type(&self) -> u8 {
        self.bytes[7]
    }

    /// The ask's number for asks, replies and failures, the timer's id for timers, else 0.
    pub fn correlation(&self) -> u64 {
        u64::from_le_bytes(self.bytes[24..32].try_into().unwrap())
    }

    pub fn id(&self) -> &'a [u8] {
        self.part(0)
    }

    pub fn sender(&self) -> &'a [u8] {
        self.part(1)
    }

    pub fn receiver(&self) -> &'a [u8] {
        self.part(2)
    }

    pub fn content(&self) -> &'a [u8] {
        self.part(4)
    }

    /// Tag and value of every extension.
    pub fn extensions(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.part(3);
        std::iter::from_fn(move || {
            let tag = *rest.first()?;
            let end = 4 + usize::from(u16::from_le_bytes([rest[2], rest[3]]));
            let value = &rest[4..end];
            rest = &rest[end..];
            Some((tag, value))
        })
    }

    /// The first extension with the tag.
    pub fn extension(&self, tag: u8) -> Option<&'a [u8]> {
        self.extensions().find(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    pub fn header(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.extensions().filter(|(tag, _)| *tag == HEADER).find_map(|(_, header)| {
            let value = header.strip_prefix(name)?;
            value.strip_prefix(&[0])
        })
    }
}

/// A message to send: `Draft::to` or `Draft::for_reply`, `extend` in rising order of tags, `body`, then one of the calls.
pub struct Draft {
    bytes: Vec<u8>,
}

impl Draft {
    pub fn to(receiver: &[u8], performative: u8) -> Self {
        let mut bytes = vec![0; DRAFT_HEADER_BYTES];
        bytes[2] = performative;
        bytes[4..6].copy_from_slice(&(receiver.len() as u16).to_le_bytes());
        bytes.extend_from_slice(receiver);
        Draft { bytes }
    }

    pub fn for_reply(performative: u8) -> Self {
        Draft::to(b"", performative)
    }

    pub fn extend(mut self, tag: u8, value: &[u8]) -> Self {
        let before = u32::from_le_bytes(self.bytes[8..12].try_into().unwrap());
        let after = before + 4 + value.len() as u32;
        self.bytes[8..12].copy_from_slice(&after.to_le_bytes());
        self.bytes.extend_from_slice(&[tag, 0]);
        self.bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    pub fn body(mut self, content_type: u8, content: &[u8]) -> Self {
        self.bytes[3] = content_type;
        self.bytes[12..16].copy_from_slice(&(content.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(content);
        self
    }

    pub fn send(self) {
        unsafe { host::send(self.bytes.as_ptr(), self.bytes.len()) }
    }

    /// The ask's number, which is the correlation of its reply. 0 ms means 30 seconds.
    pub fn ask(self, timeout_ms: i32) -> u64 {
        unsafe { host::ask(self.bytes.as_ptr(), self.bytes.len(), timeout_ms) as u64 }
    }

    /// Replies to the message whose handler this is.
    pub fn reply(self) {
        unsafe { host::reply(self.bytes.as_ptr(), self.bytes.len()) }
    }
}

/// Nothing the turn did takes place, and the message is tried again later.
pub fn fail(reason: &[u8]) -> ! {
    unsafe { host::fail(reason.as_ptr(), reason.len()) }
}

/// Gives the host a buffer, and a greater one when the answer did not fit; None when there is no answer.
fn answer(call: impl Fn(*mut u8, usize) -> i32) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 256];
    let mut bytes = call(buffer.as_mut_ptr(), buffer.len());
    if bytes > buffer.len() as i32 {
        buffer.resize(bytes as usize, 0);
        bytes = call(buffer.as_mut_ptr(), buffer.len());
    }
    buffer.truncate(usize::try_from(bytes).ok()?);
    Some(buffer)
}

pub fn state_get(key: &[u8]) -> Option<Vec<u8>> {
    answer(|to, bytes| unsafe { host::state_get(key.as_ptr(), key.len(), to, bytes) })
}

pub fn state_put(key: &[u8], value: &[u8]) {
    unsafe { host::state_put(key.as_ptr(), key.len(), value.as_ptr(), value.len()) }
}

pub fn state_delete(key: &[u8]) {
    unsafe { host::state_delete(key.as_ptr(), key.len()) }
}

/// Keys with the prefix in byte order.
pub fn state_list(prefix: &[u8]) -> Vec<Vec<u8>> {
    let all = answer(|to, bytes| unsafe { host::state_list(prefix.as_ptr(), prefix.len(), to, bytes) });
    let all = all.unwrap_or_default();
    let mut rest = all.as_slice();
    let mut keys = Vec::new();
    while let [low, high, tail @ ..] = rest {
        let (key, after) = tail.split_at(usize::from(u16::from_le_bytes([*low, *high])));
        keys.push(key.to_vec());
        rest = after;
    }
    keys
}

pub fn emit(topic: &[u8], content: &[u8]) {
    unsafe { host::emit(topic.as_ptr(), topic.len(), content.as_ptr(), content.len()) }
}

pub fn timer_set(id: u64, delay_ms: i32, content: &[u8]) {
    unsafe { host::timer_set(id as i64, delay_ms, content.as_ptr(), content.len()) }
}

pub fn timer_cancel(id: u64) {
    unsafe { host::timer_cancel(id as i64) }
}

/// Levels: 0 debug, 1 info, 2 warn, 3 error.
pub fn log(level: i32, text: &[u8]) {
    unsafe { host::log(level, text.as_ptr(), text.len()) }
}

/// Milliseconds since 1970; constant within a turn.
pub fn now_ms() -> f64 {
    unsafe { host::now() }
}

/// In [0, 1), from the turn's seed.
pub fn random() -> f64 {
    unsafe { host::random() }
}

pub fn config_get(key: &[u8]) -> Option<Vec<u8>> {
    answer(|to, bytes| unsafe { host::config_get(key.as_ptr(), key.len(), to, bytes) })
}

/// None when there is no such flag.
pub fn flag_get(key: &[u8]) -> Option<bool> {
    match unsafe { host::flag_get(key.as_ptr(), key.len()) } {
        -1 => None,
        value => Some(value == 1),
    }
}

/// The actor's own address.
pub fn own_address() -> Vec<u8> {
    answer(|to, bytes| unsafe { host::own_address(to, bytes) }).unwrap_or_default()
}

/// The exports of an agent. An actor has one thread, so its statics have one user.
#[macro_export]
macro_rules! agent {
    ($agent:ty) => {
        static mut CAXTON_AGENT: Option<$agent> = None;
        static mut CAXTON_INBOX: Vec<u8> = Vec::new();

        fn caxton_agent() -> &'static mut $agent {
            let agent = unsafe { &mut *core::ptr::addr_of_mut!(CAXTON_AGENT) };
            agent.get_or_insert_with(Default::default)
        }

        #[no_mangle]
        extern "C" fn caxton_alloc(bytes: usize) -> *mut u8 {
            let inbox = unsafe { &mut *core::ptr::addr_of_mut!(CAXTON_INBOX) };
            inbox.resize(bytes, 0);
            inbox.as_mut_ptr()
        }

        #[no_mangle]
        extern "C" fn caxton_handle(at: *const u8, bytes: usize) -> i32 {
            let message = unsafe { std::slice::from_raw_parts(at, bytes) };
            $crate::Agent::on_message(caxton_agent(), &$crate::Message::new(message)) as i32
        }
    };
}

/// The exports of an agent that hands its state to another version.
#[macro_export]
macro_rules! state {
    ($agent:ty) => {
        static mut CAXTON_EXPORTED: Vec<u8> = Vec::new();

        #[no_mangle]
        extern "C" fn caxton_export_state() -> i64 {
            let exported = unsafe { &mut *core::ptr::addr_of_mut!(CAXTON_EXPORTED) };
            *exported = $crate::State::export_state(caxton_agent());
            (exported.as_ptr() as u32 as i64) << 32 | exported.len() as i64
        }

        #[no_mangle]
        extern "C" fn caxton_import_state(at: *const u8, bytes: usize) -> i32 {
            let state = unsafe { std::slice::from_raw_parts(at, bytes) };
            i32::from(!$crate::State::import_state(caxton_agent(), state))
        }
    };
}
