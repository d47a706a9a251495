// Runs a fuzz harness over files instead of over inventions: each argument is a file or a folder.
// So the corpus is a test of every build, and no fuzzer is needed to see a mended bug come back.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void run(const std::vector<std::uint8_t>& input) {
  // A buffer of the exact size lets AddressSanitizer see a read behind the end.
  const std::vector<std::uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::vector<std::filesystem::path> files_of(const std::filesystem::path& place) {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(place)) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(place)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::ranges::sort(files);
  } else if (std::filesystem::exists(place)) {
    files.push_back(place);
  }
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t count = 1;
  run({});
  for (int i = 1; i < argc; ++i) {
    for (const auto& path : files_of(argv[i])) {
      std::ifstream file(path, std::ios::binary);
      const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
      // Named before it runs: after a crash this line tells which input it was.
      std::printf("%s\n", path.filename().c_str());
      std::fflush(stdout);
      run({bytes.begin(), bytes.end()});
      ++count;
    }
  }
  std::printf("%zu inputs\n", count);
  return 0;
}
