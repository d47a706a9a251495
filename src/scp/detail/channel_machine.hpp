#pragma once

#include "scp/detail/rate.hpp"
#include "sealine/base/timer_table.hpp"
#include "sealine/scp/channel.hpp"
#include "sealine/scp/message_queue.hpp"
#include "sealine/scp/receipts.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <span>

namespace sealine::scp {

/// What a plaintext of DATA begins with.
enum class DataKind : std::uint8_t { last = 0, part = 1, pad = 2, resume = 3, end = 4 };

enum class Timer : std::uint8_t {
  handshake,
  keep_alive,
  silence,
  rotation,
  close_receipts,
  close_drain,
  reconnect_try,
  reconnect_give_up,
  count_
};

/// A rotation, from the client's INIT to its ACK.                                        spec:
/// scp.md#rotation
struct Rotation {
  enum class Step : std::uint8_t {
    idle,
    expect_response,  ///< client
    ack_due,          ///< client: ACK{} is to be written, the last under the old keys
    response_due,     ///< server: RESPONSE is to be written, the last under the old keys
    expect_ack,       ///< server
  };
  Step step = Step::idle;
  std::optional<crypto::KeyPair> ours;
  crypto::PublicKey theirs;
};

/// All of a channel. The four files behind it: incoming (bytes to messages), outgoing (messages to
/// bytes), life (states and timers), and channel.cpp (the public face).
struct ChannelEnd::Machine {
  Machine(const Limits& its_limits, Link::Role its_role, crypto::Engine& its_engine,
          crypto::Rng& its_rng, TimePoint now)
      : limits(its_limits),
        role(its_role),
        engine(&its_engine),
        rng(&its_rng),
        book(its_limits.window_messages, its_limits.window_bytes),
        message_rate(its_limits.max_messages_per_second, now),
        byte_rate(its_limits.max_bytes_per_second, now) {}

  // --- incoming
  // ---------------------------------------------------------------------------------------------------
  std::size_t handle_bytes(MutableBytes in, TimePoint now);
  /// Opens and handles messages that were verified together, one after the other; gives the bytes
  /// that are used up: all of `in` behind a fault.
  std::size_t handle_run(MutableBytes in, std::span<const Arrived> run, TimePoint now);
  [[nodiscard]] bool takes_messages() const noexcept;
  std::size_t handle_handshake(MutableBytes in, TimePoint now);
  void handle_message(Type type, ByteView plaintext, TimePoint now);
  void handle_confirmation(Type type, ByteView plaintext, TimePoint now);
  void handle_data(ByteView plaintext, TimePoint now);
  void handle_part(bool last, ByteView data, TimePoint now);
  void handle_ack(ByteView plaintext, TimePoint now);
  void handle_rotation_init(ByteView plaintext, TimePoint now);
  void handle_rotation_response(ByteView plaintext, TimePoint now);
  void handle_close(ByteView plaintext, TimePoint now);
  bool handle_resumed(ByteView body, TimePoint now);

  // --- outgoing
  // ---------------------------------------------------------------------------------------------------
  std::size_t poll_transmit(MutableBytes out, TimePoint now);
  /// Seals the one message that is next; false if none is, or the run has no room for it.
  bool write_next(SealRun& run);
  bool write(Type type, ByteView first, ByteView second, SealRun& run);
  bool write_receipt(SealRun& run);
  bool write_part(SealRun& run);
  bool write_pad(SealRun& run);
  [[nodiscard]] Result<std::uint64_t> send(ByteView message);
  void end();
  void pad(std::size_t bytes);
  [[nodiscard]] bool can_send() const noexcept;

  // --- life
  // -------------------------------------------------------------------------------------------------------
  [[nodiscard]] Result<> begin_handshake(TimePoint now);
  void accept_peer_key(TimePoint now);
  void finish_handshake(TimePoint now);
  /// Takes the link of a finished handshake; the first one names the channel.
  void adopt(Opening& opening);
  void become_open(bool resumed, TimePoint now);
  [[nodiscard]] Result<> resume(Opening& opening, TimePoint now);
  /// The other end accepted `have` of ours: go on behind them. False: it cannot be.
  [[nodiscard]] bool rewind_to(std::uint64_t have);
  void handle_disconnected(TimePoint now);
  void handle_timeout(TimePoint now);
  void close(TimePoint now);
  void close_if_both_ended(TimePoint now);
  /// Ends the channel, or the connection where another may follow, because of `code`.
  void fault(Code code, Error error, TimePoint now);
  /// A fault that nothing authenticates: silent; where another connection may follow, this one
  /// alone is over.
  void connection_fault(Code code, Error error, TimePoint now);
  void lose(TimePoint now);
  void finish(Code code, bool by_peer, Error error);
  void heard(TimePoint now);

  Limits limits;
  Link::Role role;
  crypto::Engine* engine;
  crypto::Rng* rng;
  const ClientConfig* client_config = nullptr;

  State state = State::handshake;
  std::optional<ClientHandshake> handshake;
  std::optional<Link> link;
  Peer peer;
  std::uint32_t their_max_message = kSmallestMaxMessage;

  // The channel beyond its connections.
  bool reconnect = false;
  bool resume_forbidden = false;
  bool named = false;      ///< channel_id and resume_key are those of the first connection
  bool confirmed = false;  ///< the server's first message came once: the channel can be resumed
  ByteArray<16> channel_id{};
  Secret<32, struct ScpResumeKeyTag> resume_key;
  std::uint32_t attempts = 0;

  // Messages of ours: those without receipt, and how far they are written.
  MessageQueue outbox;
  std::uint64_t outbox_base = 0;  ///< number of the first in outbox
  std::uint64_t begun = 0;        ///< number of the first message not begun on this connection
  std::size_t part_offset = 0;    ///< bytes written of message begun - 1; 0 when it is whole
  bool part_open = false;         ///< message begun - 1 is not written to its end
  bool end_sent = false;          ///< END stands in the outbox
  bool close_wanted = false;      ///< close() was called; a new connection is to go on with it

  // Messages of theirs.
  MessageQueue inbox;
  ReceiptBook book;
  bool in_parts = false;
  bool end_received = false;
  detail::RateLimit message_rate;
  detail::RateLimit byte_rate;
  std::size_t accepted_in_turn = 0;

  // What is to be written beside messages.
  bool confirmation_due =
      false;  ///< server: ACK{0}, the first message of a channel that may reconnect
  std::optional<ByteArray<41>> resume_due;  ///< server: RESUME
  bool receipt_due = false;                 ///< ACK{n} though n has not grown
  std::optional<Code> close_due;
  std::size_t pad_due = 0;  ///< bytes of PAD
  bool pad_first = false;   ///< before the messages that wait
  bool rotation_wanted = false;
  Rotation rotation;

  TimerTable<Timer> timers;
  std::deque<Event> events;
  std::optional<Outcome> outcome;
  std::optional<Outcome>
      pending_outcome;  ///< known, but an answer or the end of input is waited for
};

}  // namespace sealine::scp
