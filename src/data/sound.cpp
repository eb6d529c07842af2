// Sound: WAV files, one or a folder of them (at any depth), cut into frames. Every file starts a
// sequence.
#include <algorithm>

#include "base/check.h"
#include "data/bytes.h"
#include "data/samples.h"
#include "data/source.h"
#include "data/wav.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

bool is_sound_file(const fs::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return path.filename().string().front() != '.' && ending == ".wav";
}

// Of the data set, in order, relative to `root`.
std::vector<fs::path> files_of(const fs::path& root) {
  if (fs::is_regular_file(root) && is_sound_file(root)) return {root};
  std::vector<fs::path> files;
  if (!fs::is_directory(root)) return files;
  for (const auto& entry :
       fs::recursive_directory_iterator(root, fs::directory_options::follow_directory_symlink)) {
    if (is_sound_file(entry.path()) && entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

// How a sample lies in the input: [frame], [1, frame] or [frame, 1].
struct FrameShape {
  int64_t points = 0;  // 0: not said
  int axis = 0;
  int rank = 1;

  Shape of(int64_t frame) const {
    Shape shape;
    for (int i = 0; i < rank; ++i) shape.push_back(i == axis ? frame : 1);
    return shape;
  }
};

// By the first input of reals: [N, T], [N, 1, T] or [N, T, 1].
FrameShape frame_shape(const DataOptions& options) {
  const auto at = std::ranges::find_if(options.inputs, [&](const Field& input) {
    return is_float(input.dtype) && input.shape.has_rank() && input.shape.rank() > 1 &&
           !options.sources.contains(input.name);
  });
  FrameShape shape;
  if (at == options.inputs.end()) return shape;
  shape.rank = at->shape.rank() - 1;
  shape.axis = shape.rank - 1;
  for (int axis = 1; axis < at->shape.rank(); ++axis) {
    if (at->shape[axis] == 1) continue;
    shape.axis = axis - 1;
    shape.points = std::max<int64_t>(at->shape[axis], 0);
  }
  return shape;
}

class Sound : public Dataset {
 public:
  Sound(std::string name, std::vector<fs::path> files, const DataOptions& options)
      : name_(std::move(name)), files_(std::move(files)), shape_(frame_shape(options)) {
    frame_ = options.frame > 0 ? options.frame : shape_.points;
    hop_ = options.hop > 0 ? options.hop : frame_;
    int64_t rate = 0;
    for (const fs::path& file : files_) {
      const WavFormat format = with_context([&] { return file.string(); },
                                            [&] { return parse_wav(Bytes::map(file).view()); });
      if (format.points == 0) {
        fail(ErrorCode::invalid_data, "{}: there is no sound in it", file.string());
      }
      if (rate != 0 && format.rate != rate) {
        fail(ErrorCode::invalid_data, "{} has {} Hz, {} has {} Hz; resample one of them",
             file.string(), format.rate, files_[0].string(), rate);
      }
      rate = format.rate;
      first_.push_back(size_);
      size_ += frames_in(format.points);
      longest_ = std::max(longest_, format.points);
      shortest_ = first_.size() == 1 ? format.points : std::min(shortest_, format.points);
    }
  }

  int64_t size() const override { return size_; }
  std::vector<Field> fields() const override {
    const bool ragged = frame_ == 0 && longest_ != shortest_;
    return {{.shape = shape_.of(ragged ? Shape::kUnknown : frame_ > 0 ? frame_ : longest_)}};
  }
  std::vector<Tensor> sample(int64_t index) const override {
    check(index >= 0 && index < size_, "sample index in range");
    const size_t file = file_with(index);
    return with_context([&] { return files_[file].string(); },
                        [&]() -> std::vector<Tensor> {
                          const Bytes bytes = Bytes::map(files_[file]);
                          const WavFormat format = parse_wav(bytes.view());
                          Tensor points(DType::f32, shape_.of(frame_ > 0 ? frame_ : format.points));
                          read_wav(bytes.view(), format, (index - first_[file]) * hop_,
                                   points.data<float>());
                          return {points};
                        });
  }
  std::string file_of(int64_t index) const override { return files_[file_with(index)].string(); }
  bool starts_sequence(int64_t index) const override {
    return std::ranges::binary_search(first_, index);
  }
  std::string describe() const override { return describe_samples(name_, size_, 0); }

 private:
  size_t file_with(int64_t index) const {
    return static_cast<size_t>(std::ranges::upper_bound(first_, index) - first_.begin()) - 1;
  }
  // The last one may reach beyond the end, where there is silence.
  int64_t frames_in(int64_t points) const {
    if (frame_ == 0 || points <= frame_) return 1;
    return 1 + (points - frame_ + hop_ - 1) / hop_;
  }

  std::string name_;
  std::vector<fs::path> files_;
  FrameShape shape_;
  int64_t frame_ = 0;  // 0: a file is a sample
  int64_t hop_ = 0;
  int64_t size_ = 0;
  int64_t longest_ = 0, shortest_ = 0;
  std::vector<int64_t> first_;  // sample of each file
};

}  // namespace

std::optional<Source> find_sound(const std::string& spec, const DataOptions& options) {
  const std::vector<fs::path> files = files_of(spec);
  if (files.empty()) return std::nullopt;
  Source source{.name = source_name(spec), .whole = true};
  source.parts[Split::train] = [=, name = source.name] {
    return std::make_shared<Sound>(name, files, options);
  };
  return source;
}

}  // namespace nibble
