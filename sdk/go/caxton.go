// Package caxton is for agents in Go: the message, the draft and the host calls of agent ABI v1 (docs/agent-abi.md).
// An agent sets OnMessage in its init function; its main function is empty and never runs.
package caxton

import (
	"encoding/binary"
	"unsafe"
)

// The host calls as they are; the functions below are what an agent needs.

//go:wasmimport caxton send
//go:noescape
func HostSend(draft unsafe.Pointer, bytes uint32)

//go:wasmimport caxton ask
//go:noescape
func HostAsk(draft unsafe.Pointer, bytes uint32, timeoutMs int32) int64

//go:wasmimport caxton reply
//go:noescape
func HostReply(draft unsafe.Pointer, bytes uint32)

//go:wasmimport caxton fail
//go:noescape
func HostFail(reason unsafe.Pointer, bytes uint32)

//go:wasmimport caxton state_get
//go:noescape
func HostStateGet(key unsafe.Pointer, keyBytes uint32, buffer unsafe.Pointer, bytes uint32) int32

//go:wasmimport caxton state_put
//go:noescape
func HostStatePut(key unsafe.Pointer, keyBytes uint32, value unsafe.Pointer, bytes uint32)

//go:wasmimport caxton state_delete
//go:noescape
func HostStateDelete(key unsafe.Pointer, keyBytes uint32)

//go:wasmimport caxton state_list
//go:noescape
func HostStateList(prefix unsafe.Pointer, prefixBytes uint32, buffer unsafe.Pointer, bytes uint32) int32

//go:wasmimport caxton emit
//go:noescape
func HostEmit(topic unsafe.Pointer, topicBytes uint32, content unsafe.Pointer, bytes uint32)

//go:wasmimport caxton timer_set
//go:noescape
func HostTimerSet(id int64, delayMs int32, content unsafe.Pointer, bytes uint32)

//go:wasmimport caxton timer_cancel
func hostTimerCancel(id int64)

//go:wasmimport caxton log
//go:noescape
func HostLog(level int32, text unsafe.Pointer, bytes uint32)

//go:wasmimport caxton now
func hostNow() float64

//go:wasmimport caxton random
func hostRandom() float64

//go:wasmimport caxton config_get
//go:noescape
func HostConfigGet(key unsafe.Pointer, keyBytes uint32, buffer unsafe.Pointer, bytes uint32) int32

//go:wasmimport caxton flag_get
//go:noescape
func HostFlagGet(key unsafe.Pointer, keyBytes uint32) int32

//go:wasmimport caxton self
//go:noescape
func hostSelf(buffer unsafe.Pointer, bytes uint32) int32

// Flags of a message.
const (
	WantsReply uint16 = 1 << iota
	IsReply
	IsFailure
	IsTimer
	FromClient
)

// Codes of performatives and content types that agents use most; the tables are in docs/agent-abi.md.
const (
	Inform  byte = 0
	Request byte = 1
	Bytes   byte = 0
	JSON    byte = 1
	Text    byte = 2
	// Other: the name stands in an extension.
	Other byte = 255
)

// Tags of extensions.
const (
	ConversationID byte = 1 + iota
	ReplyWith
	InReplyTo
	ReplyBy
	Ontology
	Language
	Protocol
	Performative
	ContentType
	Header
)

// ErrorCode is the tag of the error code of a failure.
const ErrorCode byte = 12

const (
	messageHeaderBytes = 32
	draftHeaderBytes   = 16
)

// Handled is what a handler says at its end.
type Handled int32

const (
	Done Handled = iota
	// Open waits for a reply or timer, which arrives as a message of its own.
	Open
)

// OnMessage is the agent.
var OnMessage func(Message) Handled

// ExportState and ImportState hand the state over to another version of the agent, where an agent sets them.
var (
	ExportState func() []byte
	// ImportState answers false to what is no state of this agent.
	ImportState func([]byte) bool
)

// Message is one message as the host wrote it, good until the handler returns.
type Message []byte

func (m Message) part(wanted int) []byte {
	lengths := [5]int{
		int(binary.LittleEndian.Uint16(m[8:])),
		int(binary.LittleEndian.Uint16(m[10:])),
		int(binary.LittleEndian.Uint16(m[12:])),
		int(binary.LittleEndian.Uint32(m[16:])),
		int(binary.LittleEndian.Uint32(m[20:])),
	}
	start := messageHeaderBytes
	for _, length := range lengths[:wanted] {
		start += length
	}
	return m[start : start+lengths[wanted]]
}

func (m Message) Has(flag uint16) bool { return binary.LittleEndian.Uint16(m[4:])&flag != 0 }
func (m Message) Performative() byte   { return m[6] }
func (m Message) ContentType() byte    { return m[7] }
func (m Message) ID() []byte           { return m.part(0) }
func (m Message) Sender() []byte       { return m.part(1) }
func (m Message) Receiver() []byte     { return m.part(2) }
func (m Message) Content() []byte      { return m.part(4) }

// Correlation is the ask's number for asks, replies and failures, the timer's id for timers, else 0.
func (m Message) Correlation() uint64 { return binary.LittleEndian.Uint64(m[24:]) }

// Extensions calls with tag and value of each, until it answers false.
func (m Message) Extensions(each func(tag byte, value []byte) bool) {
	for rest := m.part(3); len(rest) > 0; {
		end := 4 + int(binary.LittleEndian.Uint16(rest[2:]))
		if !each(rest[0], rest[4:end]) {
			return
		}
		rest = rest[end:]
	}
}

// Extension is the first with the tag, nil when there is none.
func (m Message) Extension(wanted byte) (found []byte) {
	for tag, value := range m.Extensions {
		if tag == wanted {
			return value
		}
	}
	return nil
}

// Draft is a message to send: To or ForReply, Extend in rising order of tags, Body, then one of Send, Ask, Reply.
type Draft []byte

func To(receiver []byte, performative byte) Draft {
	draft := make(Draft, draftHeaderBytes, draftHeaderBytes+len(receiver))
	draft[2] = performative
	binary.LittleEndian.PutUint16(draft[4:], uint16(len(receiver)))
	return append(draft, receiver...)
}

func ForReply(performative byte) Draft { return To(nil, performative) }

func (d Draft) Extend(tag byte, value []byte) Draft {
	before := binary.LittleEndian.Uint32(d[8:])
	binary.LittleEndian.PutUint32(d[8:], before+4+uint32(len(value)))
	d = append(d, tag, 0, byte(len(value)), byte(len(value)>>8))
	return append(d, value...)
}

func (d Draft) Body(contentType byte, content []byte) Draft {
	d[3] = contentType
	binary.LittleEndian.PutUint32(d[12:], uint32(len(content)))
	return append(d, content...)
}

func (d Draft) Send() { HostSend(at(d), count(d)) }

// Ask returns the ask's number, which is the correlation of its reply. 0 ms means 30 seconds.
func (d Draft) Ask(timeoutMs int32) uint64 { return uint64(HostAsk(at(d), count(d), timeoutMs)) }

// Reply replies to the message whose handler this is.
func (d Draft) Reply() { HostReply(at(d), count(d)) }

func at(bytes []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(bytes)) }
func count(bytes []byte) uint32      { return uint32(len(bytes)) }

// Fail does not return: nothing the turn did takes place, and the message is tried again later.
func Fail(reason []byte) { HostFail(at(reason), count(reason)) }

// answer gives the host a buffer, and a greater one when the answer did not fit; false when there is no answer.
func answer(call func(buffer unsafe.Pointer, bytes uint32) int32) ([]byte, bool) {
	buffer := make([]byte, 256)
	bytes := call(at(buffer), count(buffer))
	if int(bytes) > len(buffer) {
		buffer = make([]byte, bytes)
		bytes = call(at(buffer), count(buffer))
	}
	if bytes < 0 {
		return nil, false
	}
	return buffer[:bytes], true
}

func StateGet(key []byte) ([]byte, bool) {
	return answer(func(to unsafe.Pointer, bytes uint32) int32 { return HostStateGet(at(key), count(key), to, bytes) })
}

func StatePut(key, value []byte) { HostStatePut(at(key), count(key), at(value), count(value)) }
func StateDelete(key []byte)     { HostStateDelete(at(key), count(key)) }

// StateList gives the keys with the prefix in byte order.
func StateList(prefix []byte) (keys [][]byte) {
	rest, _ := answer(func(to unsafe.Pointer, bytes uint32) int32 {
		return HostStateList(at(prefix), count(prefix), to, bytes)
	})
	for len(rest) > 0 {
		end := 2 + int(binary.LittleEndian.Uint16(rest))
		keys = append(keys, rest[2:end])
		rest = rest[end:]
	}
	return keys
}

func Emit(topic, content []byte) { HostEmit(at(topic), count(topic), at(content), count(content)) }

func TimerSet(id uint64, delayMs int32, content []byte) {
	HostTimerSet(int64(id), delayMs, at(content), count(content))
}

func TimerCancel(id uint64) { hostTimerCancel(int64(id)) }

// Log has the levels 0 debug, 1 info, 2 warn, 3 error.
func Log(level int32, text []byte) { HostLog(level, at(text), count(text)) }

// NowMs is milliseconds since 1970, constant within a turn.
func NowMs() float64 { return hostNow() }

// Random is in [0, 1), from the turn's seed.
func Random() float64 { return hostRandom() }

func ConfigGet(key []byte) ([]byte, bool) {
	return answer(func(to unsafe.Pointer, bytes uint32) int32 { return HostConfigGet(at(key), count(key), to, bytes) })
}

// FlagGet is 1, 0, or -1 when there is no such flag.
func FlagGet(key []byte) int32 { return HostFlagGet(at(key), count(key)) }

// Self is the actor's own address.
func Self() []byte {
	own, _ := answer(hostSelf)
	return own
}

// The exports. inbox and exported keep what the host knows by its place from being collected.
var inbox, exported []byte

//go:wasmexport caxton_alloc
func alloc(bytes uint32) uint32 {
	if uint32(cap(inbox)) < bytes {
		inbox = make([]byte, bytes)
	}
	inbox = inbox[:bytes]
	return uint32(uintptr(at(inbox)))
}

//go:wasmexport caxton_handle
func handle(_, bytes uint32) int32 { return int32(OnMessage(Message(inbox[:bytes]))) }

//go:wasmexport caxton_export_state
func exportState() int64 {
	if ExportState == nil {
		Fail([]byte("this agent exports no state"))
	}
	exported = ExportState()
	return int64(uintptr(at(exported)))<<32 | int64(len(exported))
}

//go:wasmexport caxton_import_state
func importState(_, bytes uint32) int32 {
	if ImportState != nil && ImportState(inbox[:bytes]) {
		return 0
	}
	return 1
}
