#pragma once

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"

namespace sealine::sim {

/// Takes what an end writes.
class Wire {
 public:
  virtual ~Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  virtual void write(ByteView bytes) = 0;

  /// No byte comes behind those that were written.
  virtual void end() {}

  /// It pushes back: nothing more should be written now.
  [[nodiscard]] virtual bool is_full() const { return false; }

 protected:
  Wire() = default;
};

/// What an end has sealed goes onto its wire, and has to look like it.
inline void write_sealed(Wire& wire, KeyBook& book, ByteView bytes) {
  require(!Content::is_in_clear_in(bytes), "the canary is never on the wire");
  require(!book.repeated(), "no key and nonce seal twice");
  book.tidy();
  wire.write(bytes);
}

}  // namespace sealine::sim
