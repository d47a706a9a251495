#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stt_options.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace sealine::io::stt {

class SessionCore;

/// A stream of an STT session. Of mode ordered it models AsyncReadStream and AsyncWriteStream; the
/// other modes carry messages.
///
/// One read and one write may be under way at a time. net::error::eof is the peer's FIN. A stream
/// that the peer reset ends its reads with Errc::stream_reset, one that it stopped its writes with
/// Errc::stream_stopped, a session that is over both with its fault, or truncated. Movable;
/// destruction resets what is not finished (code 256). Runs on its session's executor;
/// only moves and destruction may be anywhere.
class SEALINE_API Stream {
 public:
  using executor_type = net::any_io_executor;
  using lowest_layer_type = Stream;

  Stream() noexcept = default;
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  ~Stream();

  [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }

  [[nodiscard]] executor_type get_executor() const noexcept;

  [[nodiscard]] lowest_layer_type& lowest_layer() noexcept { return *this; }

  [[nodiscard]] StreamId id() const noexcept { return id_; }

  [[nodiscard]] const StreamOptions& options() const noexcept { return options_; }

  /// Signature: void(error_code, std::size_t).
  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return start<void(error_code, std::size_t)>(
        token, [core = core_, id = id_,
                target = first_of<net::mutable_buffer, MutableBytes>(buffers)](auto&& handler) {
          start_read(core, id, target,
                     detail::make_operation<error_code, std::size_t>(
                         std::forward<decltype(handler)>(handler), executor_of(core)));
        });
  }

  /// Ends when bytes are in the stream's buffer. Signature: void(error_code, std::size_t).
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return start<void(error_code, std::size_t)>(
        token, [core = core_, id = id_,
                source = first_of<net::const_buffer, ByteView>(buffers)](auto&& handler) {
          start_write(core, id, source,
                      detail::make_operation<error_code, std::size_t>(
                          std::forward<decltype(handler)>(handler), executor_of(core)));
        });
  }

  /// One whole message into `message`; modes 1 to 3. Signature: void(error_code).
  template <class Token>
  auto async_read_message(std::vector<std::uint8_t>& message, Token&& token) {
    return start<void(error_code)>(token, [core = core_, id = id_, &message](auto&& handler) {
      start_read_message(core, id, message,
                         detail::make_operation<error_code>(
                             std::forward<decltype(handler)>(handler), executor_of(core)));
    });
  }

  /// All of `message`, which stays as it is until the end. Signature: void(error_code).
  template <class Token>
  auto async_write_message(ByteView message, Token&& token) {
    return start<void(error_code)>(token, [core = core_, id = id_, message](auto&& handler) {
      start_write_message(core, id, message,
                          detail::make_operation<error_code>(
                              std::forward<decltype(handler)>(handler), executor_of(core)));
    });
  }

  /// FIN behind what was written: the session sends both as credit lets it (Session::async_drain
  /// waits for that). Signature: void(error_code).
  template <class Token>
  auto async_shutdown(Token&& token) {
    return start<void(error_code)>(token, [core = core_, id = id_](auto&& handler) {
      start_shutdown(core, id,
                     detail::make_operation<error_code>(std::forward<decltype(handler)>(handler),
                                                        executor_of(core)));
    });
  }

  /// Gives up our direction; wants no more of the peer's. Codes from 256 on.
  void reset(std::uint16_t code);
  void stop(std::uint16_t code);
  /// Ends pending operations with operation_aborted.
  void cancel();

 private:
  friend class SessionCore;
  using CorePtr = std::shared_ptr<SessionCore>;
  using Done = detail::OperationPtr<error_code>;
  using Moved = detail::OperationPtr<error_code, std::size_t>;

  Stream(CorePtr core, StreamId id, const StreamOptions& options) noexcept
      : core_(std::move(core)), id_(id), options_(options) {}

  template <class Buffer, class Bytes, class Buffers>
  static Bytes first_of(const Buffers& buffers) {
    auto it = net::buffer_sequence_begin(buffers);
    const auto end = net::buffer_sequence_end(buffers);
    for (; it != end; ++it) {
      const Buffer buffer(*it);
      using Byte = typename Bytes::element_type;
      if (buffer.size() != 0) return {static_cast<Byte*>(buffer.data()), buffer.size()};
    }
    return {};
  }

  template <class Signature, class Token, class Initiation>
  static auto start(Token& token, Initiation initiation) {
    return net::async_initiate<Token, Signature>(std::move(initiation), token);
  }

  static const executor_type& executor_of(const CorePtr& core) noexcept;
  static void start_read(const CorePtr& core, StreamId id, MutableBytes target, Moved done);
  static void start_write(const CorePtr& core, StreamId id, ByteView source, Moved done);
  static void start_read_message(const CorePtr& core, StreamId id,
                                 std::vector<std::uint8_t>& message, Done done);
  static void start_write_message(const CorePtr& core, StreamId id, ByteView message, Done done);
  static void start_shutdown(const CorePtr& core, StreamId id, Done done);
  void abandon() noexcept;

  CorePtr core_;
  StreamId id_ = 0;
  StreamOptions options_;
};

}  // namespace sealine::io::stt
