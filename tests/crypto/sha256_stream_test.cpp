#include "sealine/crypto/sha256_stream.hpp"

#include "sealine/crypto/engine.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace sealine::crypto {
namespace {

TEST(Sha256Stream, PiecesOfAnySizeGiveTheHashOfTheWhole) {
  std::vector<std::uint8_t> data(200'000);
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8U));
  const std::unique_ptr<Engine> engine = make_engine(EngineChoice::openssl).value();
  ByteArray<32> whole{};
  engine->sha256({ByteView(data)}, whole);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65'537}, data.size()}) {
    Sha256Stream stream;
    for (std::size_t at = 0; at < data.size(); at += piece) {
      stream.update(ByteView(data).subspan(at, std::min(piece, data.size() - at)));
    }
    EXPECT_EQ(stream.finish(), whole) << piece;
  }
}

// FIPS 180-2, appendix B.1, and the empty message.
TEST(Sha256Stream, KnownAnswers) {
  Sha256Stream abc;
  abc.update(as_bytes("abc"));
  EXPECT_EQ(abc.finish()[0], 0xba);
  Sha256Stream nothing;
  const ByteArray<32> hash = nothing.finish();
  EXPECT_EQ(hash[0], 0xe3);
  EXPECT_EQ(hash[31], 0x55);
}

}  // namespace
}  // namespace sealine::crypto
