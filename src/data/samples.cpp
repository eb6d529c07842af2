#include "data/samples.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"

namespace nibble {
namespace {

constexpr int64_t kMaxClasses = 1'000'000;

class Subset : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> dataset, std::vector<int64_t> indices, std::string name)
      : dataset_(std::move(dataset)), indices_(std::move(indices)), name_(std::move(name)) {
    for (int64_t index : indices_) {
      if (index < 0 || index >= dataset_->size()) {
        fail(ErrorCode::invalid_argument, "there is no sample {} in {}", index,
             dataset_->describe());
      }
    }
  }

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  std::vector<Field> fields() const override { return dataset_->fields(); }
  std::vector<Tensor> sample(int64_t index) const override {
    return dataset_->sample(source(index));
  }
  int classes() const override { return dataset_->classes(); }
  const std::vector<std::string>& class_names() const override { return dataset_->class_names(); }
  int64_t label(int64_t index) const override { return dataset_->label(source(index)); }
  std::vector<Field> target_fields() const override { return dataset_->target_fields(); }
  std::vector<Tensor> targets(int64_t index) const override {
    return dataset_->targets(source(index));
  }
  bool starts_sequence(int64_t index) const override {
    return index == 0 || source(index) != source(index - 1) + 1 ||
           dataset_->starts_sequence(source(index));
  }
  std::string file_of(int64_t index) const override { return dataset_->file_of(source(index)); }
  std::optional<Preprocess> preprocess() const override { return dataset_->preprocess(); }
  std::string describe() const override {
    if (name_.empty()) return group_digits(size()) + " samples of " + dataset_->describe();
    return describe_samples(name_, size(), classes());
  }

 private:
  int64_t source(int64_t index) const { return indices_[static_cast<size_t>(index)]; }

  std::shared_ptr<const Dataset> dataset_;
  std::vector<int64_t> indices_;
  std::string name_;
};

}  // namespace

Labels number_labels(std::span<const int64_t> values, const std::string& file) {
  Labels labels;
  labels.values.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= kMaxClasses) {
      fail(ErrorCode::invalid_data, "{}: the label {} of sample {} is out of range", file,
           values[i], i);
    }
    labels.values.push_back(static_cast<int32_t>(values[i]));
    labels.classes = std::max(labels.classes, labels.values.back() + 1);
  }
  return labels;
}

std::string describe_samples(std::string_view name, int64_t samples, int classes) {
  return fmt::format("{}: {} samples, {}", name, group_digits(samples),
                     classes == 0 ? "no labels" : group_digits(classes) + " classes");
}

PixelDataset::PixelDataset(std::string name, Labels labels, PixelBlock block,
                           const Preprocess& preprocess)
    : Labelled(std::move(name), std::move(labels)),
      block_(std::move(block)),
      transform_(preprocess, {block_.height, block_.width, block_.channels}) {}

void PixelDataset::read(int64_t index, std::span<float> out) const {
  check(index >= 0 && index < size(), "sample index in range");
  const size_t plane = static_cast<size_t>(block_.height) * static_cast<size_t>(block_.width);
  const auto channels = static_cast<size_t>(block_.channels);
  const uint8_t* from =
      block_.bytes.view().data() + block_.offset + static_cast<size_t>(index) * block_.stride;
  Image image{block_.height, block_.width, block_.channels, {}};
  image.pixels.assign(from, from + plane * channels);
  if (block_.planar && channels > 1) {
    for (size_t i = 0; i < plane * channels; ++i) {
      image.pixels[i % plane * channels + i / plane] = from[i];
    }
  }
  transform_.apply(std::move(image), out);
}

std::vector<int64_t> stratified_order(std::span<const int32_t> labels, uint64_t seed) {
  std::vector<int64_t> order(labels.size());
  std::iota(order.begin(), order.end(), 0);
  Random random(seed);
  random.shuffle(std::span(order));
  // The k-th of a class's n samples gets the position (k + 1/2) / n; ties keep the shuffled order.
  std::vector<int64_t> count, seen;
  for (int32_t label : labels) {
    count.resize(std::max(count.size(), static_cast<size_t>(label) + 1));
    ++count[static_cast<size_t>(label)];
  }
  seen.resize(count.size());
  std::vector<std::pair<double, int64_t>> keyed;
  for (int64_t index : order) {
    const auto c = static_cast<size_t>(labels[static_cast<size_t>(index)]);
    keyed.emplace_back((static_cast<double>(seen[c]++) + 0.5) / static_cast<double>(count[c]),
                       index);
  }
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < order.size(); ++i) order[i] = keyed[i].second;
  return order;
}

std::unique_ptr<Dataset> named_subset(std::shared_ptr<const Dataset> dataset,
                                      std::vector<int64_t> indices, std::string name) {
  return std::make_unique<Subset>(std::move(dataset), std::move(indices), std::move(name));
}

std::unique_ptr<Dataset> subset(std::shared_ptr<const Dataset> dataset,
                                std::vector<int64_t> indices) {
  return named_subset(std::move(dataset), std::move(indices), "");
}

std::unique_ptr<Dataset> slice(std::shared_ptr<const Dataset> dataset, int64_t begin, int64_t end) {
  std::vector<int64_t> indices(static_cast<size_t>(end - begin));
  std::iota(indices.begin(), indices.end(), begin);
  return subset(std::move(dataset), std::move(indices));
}

std::unique_ptr<Dataset> random_subset(std::shared_ptr<const Dataset> dataset, int64_t count,
                                       uint64_t seed) {
  std::vector<int64_t> indices(static_cast<size_t>(dataset->size()));
  std::iota(indices.begin(), indices.end(), 0);
  Random random(seed);
  random.shuffle(std::span(indices));
  if (count > 0 && count < dataset->size()) indices.resize(static_cast<size_t>(count));
  return subset(std::move(dataset), std::move(indices));
}

}  // namespace nibble
