#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sealine::bench {

/// The arguments of a contestant: `key=value`, each at most once. A key that the program never asks
/// for is an error, so that a misspelt setting cannot be measured as if it had been made.
class Options {
 public:
  /// Throws std::invalid_argument for anything that is not `key=value`.
  Options(int argc, char** argv);

  [[nodiscard]] std::string text(std::string_view key, std::string_view otherwise) const;
  [[nodiscard]] std::uint64_t number(std::string_view key, std::uint64_t otherwise) const;
  [[nodiscard]] double seconds(std::string_view key, double otherwise) const;
  [[nodiscard]] bool flag(std::string_view key) const;

  /// Throws std::invalid_argument if an argument was never asked for.
  void finish() const;

 private:
  struct Value {
    std::string text;
    mutable bool asked_for = false;
  };

  [[nodiscard]] const std::string* find(std::string_view key) const;

  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace sealine::bench
