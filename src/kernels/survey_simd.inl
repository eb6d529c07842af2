// The survey of a run in vectors of eight, and bins; included by one file per instruction set, inside
// its own namespace, so that no code compiled for a wider instruction
// set is shared.

using Eight = float __attribute__((vector_size(32)));
using EightInts = int32_t __attribute__((vector_size(32)));
using EightDoubles = double __attribute__((vector_size(64)));

template <typename V>
double sum_of(const V& lanes) {
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
         ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

void survey(const float* in, int64_t n, Survey* out) {
  const double shift = in[0];
  const Eight none = {};
  Eight low = none + in[0], high = low, poison = none;
  EightInts zeros = {};
  EightDoubles sum = {}, squares = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    Eight value;
    __builtin_memcpy(&value, in + i, sizeof value);
    low = value < low ? value : low;
    high = value > high ? value : high;
    poison += value * 0.0F;  // NaN from NaN and from infinity
    zeros -= value == none;
    const EightDoubles shifted = __builtin_convertvector(value, EightDoubles) - shift;
    sum += shifted;
    squares += shifted * shifted;
  }
  for (; i < n; ++i) {
    low[0] = in[i] < low[0] ? in[i] : low[0];
    high[0] = in[i] > high[0] ? in[i] : high[0];
    poison[0] += in[i] * 0.0F;
    zeros[0] += in[i] == 0.0F ? 1 : 0;
    const double shifted = static_cast<double>(in[i]) - shift;
    sum[0] += shifted;
    squares[0] += shifted * shifted;
  }
  Survey found = {.minimum = low[0], .maximum = high[0]};
  for (int lane = 0; lane < 8; ++lane) {
    found.minimum = low[lane] < found.minimum ? low[lane] : found.minimum;
    found.maximum = high[lane] > found.maximum ? high[lane] : found.maximum;
    found.zeros += zeros[lane];
  }
  const double poisoned = sum_of(poison);
  found.finite = poisoned == poisoned;
  found.sum = sum_of(sum);
  found.squares = sum_of(squares);
  *out = found;
}

// bins_of_vectors() of the including file does as many of the first values as are whole vectors and
// says how many (`done`); it may write any number at places of `out` up to `done`.
int64_t bins(float inverse, const float* in, int32_t* out, int64_t n) {
  int64_t i = 0;
  int64_t count = bins_of_vectors(inverse, in, out, n, &i);
  for (; i < n; ++i) {
    // Exact, as the width is a power of two, but for what underflows: its bin is -1 if negative.
    const float scaled = in[i] * inverse;
    const auto truncated = static_cast<int32_t>(scaled);
    const bool above = static_cast<float>(truncated) > scaled;
    const bool just_below_zero = in[i] < 0 && truncated == 0;
    out[count] = truncated - ((above || just_below_zero) ? 1 : 0);
    count += in[i] != 0 ? 1 : 0;
  }
  return count;
}

constexpr SurveyKernels kKernels = {.survey = survey, .bins = bins};
