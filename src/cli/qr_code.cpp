#include "cli/qr_code.hpp"

#include <memory>
#include <qrencode.h>

namespace sealine::cli {
namespace {

constexpr int kQuietModules = 2;

struct Release {
  void operator()(QRcode* code) const noexcept { QRcode_free(code); }
};

}  // namespace

Result<std::string> qr_code(std::string_view text, bool colored) {
  const std::string terminated(text);
  const std::unique_ptr<QRcode, Release> code(
      QRcode_encodeString(terminated.c_str(), 0, QR_ECLEVEL_M, QR_MODE_8, 1));
  if (code == nullptr) return fail(Errc::value_too_large);
  const auto is_light = [&](int row, int column) {
    if (row < 0 || column < 0 || row >= code->width || column >= code->width) return true;
    return (code->data[row * code->width + column] & 1U) == 0;
  };
  std::string out;
  for (int row = -kQuietModules; row < code->width + kQuietModules; row += 2) {
    if (colored) out += "\x1b[37;40;1m";
    for (int column = -kQuietModules; column < code->width + kQuietModules; ++column) {
      const bool upper = is_light(row, column);
      const bool lower = is_light(row + 1, column);
      out += upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ";
    }
    if (colored) out += "\x1b[0m";
    out += '\n';
  }
  return out;
}

}  // namespace sealine::cli
