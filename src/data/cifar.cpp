// CIFAR-10 binary version: records of a label byte and 3 planes (R, G, B) of 32x32 bytes;
// data_batch_1.bin .. data_batch_5.bin train, test_batch.bin tests
// (https://www.cs.toronto.edu/~kriz/cifar.html).
#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "data/samples.h"
#include "data/source.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRecord = 1 + 3 * 32 * 32;
constexpr int kClasses = 10;

std::vector<std::string> read_class_names(const fs::path& path) {
  if (!fs::is_regular_file(path)) return {};
  const std::string text = read_file(path);
  std::vector<std::string> names;
  for (size_t begin = 0; begin < text.size() && names.size() < kClasses;) {
    const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    if (end > begin) names.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (names.size() != kClasses) names.clear();
  return names;
}

// The five training files as one data set.
class Joined : public Labelled<RealDataset> {
 public:
  Joined(std::string name, Labels labels, std::vector<std::shared_ptr<const PixelDataset>> parts)
      : Labelled(std::move(name), std::move(labels)), parts_(std::move(parts)) {}
  Shape sample_shape() const override { return parts_.front()->sample_shape(); }
  std::optional<Preprocess> preprocess() const override { return parts_.front()->preprocess(); }
  void read(int64_t index, std::span<float> out) const override {
    size_t part = 0;
    while (index >= parts_[part]->size()) index -= parts_[part++]->size();
    parts_[part]->read(index, out);
  }

 private:
  std::vector<std::shared_ptr<const PixelDataset>> parts_;
};

std::shared_ptr<const PixelDataset> open_file(const std::string& name, const fs::path& path,
                                              const Preprocess& preprocess) {
  Bytes bytes = Bytes::map(path);
  if (bytes.size() == 0 || bytes.size() % kRecord != 0) {
    fail(ErrorCode::invalid_data, "{}: has {} bytes, not a whole number of records of {}",
         path.string(), bytes.size(), kRecord);
  }
  Labels labels{.classes = kClasses};
  for (size_t at = 0; at < bytes.size(); at += kRecord) {
    const int label = bytes.view()[at];
    if (label >= kClasses) {
      fail(ErrorCode::invalid_data, "{}: the label {} of sample {} is out of range", path.string(),
           label, at / kRecord);
    }
    labels.values.push_back(label);
  }
  return std::make_shared<PixelDataset>(name, std::move(labels),
                                        PixelBlock{std::move(bytes), 1, kRecord, 32, 32, 3, true},
                                        preprocess);
}

}  // namespace

std::optional<Source> find_cifar10(const std::string& spec, const DataOptions& options) {
  const fs::path root(spec);
  std::vector<fs::path> train, test;
  for (int i = 1; i <= 5; ++i) {
    fs::path path = root / fmt::format("data_batch_{}.bin", i);
    if (fs::is_regular_file(path)) train.push_back(std::move(path));
  }
  if (fs::is_regular_file(root / "test_batch.bin")) test.push_back(root / "test_batch.bin");
  Source source{.name = source_name(spec)};
  const auto add = [&](Split split, const std::vector<fs::path>& files) {
    if (files.empty()) return;
    source.parts[split] = [=, name = source.name]() -> std::shared_ptr<const Dataset> {
      Labels labels{.classes = kClasses, .names = read_class_names(root / "batches.meta.txt")};
      std::vector<std::shared_ptr<const PixelDataset>> parts;
      for (const fs::path& file : files) {
        parts.push_back(open_file(name, file, chosen_preprocess(default_preprocess(3), options)));
        for (int64_t i = 0; i < parts.back()->size(); ++i) {
          labels.values.push_back(static_cast<int32_t>(parts.back()->label(i)));
        }
      }
      return std::make_shared<Joined>(name, std::move(labels), std::move(parts));
    };
  };
  add(Split::train, train);
  add(Split::test, test);
  if (source.parts.empty()) return std::nullopt;
  return source;
}

}  // namespace nibble
