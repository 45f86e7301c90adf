#include "tests/support/channel_error.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DENORMAL_STEPS (256 * 0x1p-149) /* sums of float denormals are as coarse as denormals are */

/* Elements lie as samples x channels x inner. */
typedef struct channel_view {
  const norma_tensor *tensor;
  int64_t samples, channels, inner;
} channel_view;

static channel_view view_of(const norma_tensor *tensor) {
  const bool has_channels = tensor->rank > 1;
  return (channel_view){.tensor = tensor,
                        .samples = has_channels ? tensor->dims[0] : 1,
                        .channels = has_channels ? tensor->dims[1] : 1,
                        .inner = dims_product(tensor->dims, has_channels ? 2 : 0, tensor->rank)};
}

static double element_at(const norma_tensor *tensor, int64_t index) {
  return element_get_double(tensor->type, tensor->data, index);
}

/* The largest finite magnitude of a channel. */
static double channel_magnitude(const channel_view *view, int64_t channel) {
  double largest = 0;
  for (int64_t s = 0; s < view->samples; s++) {
    for (int64_t i = 0; i < view->inner; i++) {
      const double x = fabs(element_at(view->tensor, (s * view->channels + channel) * view->inner + i));
      if (isfinite(x)) largest = fmax(largest, x);
    }
  }
  return largest;
}

static bool agree(double expected, double found, double allowed) {
  if (isnan(expected) || isnan(found)) return isnan(expected) && isnan(found);
  if (isinf(expected) || isinf(found)) return expected == found;
  return fabs(expected - found) <= allowed;
}

static void check_channel(const char *what, const channel_view *view, const norma_tensor *found, int64_t channel,
                          double magnitude, double allowed) {
  for (int64_t s = 0; s < view->samples; s++) {
    for (int64_t i = 0; i < view->inner; i++) {
      const int64_t at = (s * view->channels + channel) * view->inner + i;
      const double from = element_at(view->tensor, at), to = element_at(found, at);
      if (agree(from, to, allowed)) continue;
      fail_msg("%s: element %lld, of channel %lld: %.9g instead of %.9g, error %.3g of %.9g", what, (long long)at,
               (long long)channel, to, from, fabs(to - from) / magnitude, magnitude);
    }
  }
}

void assert_channels_near(const char *what, const norma_tensor *expected, const norma_tensor *found,
                          channel_bound bound) {
  const shape a = shape_of_tensor(expected), b = shape_of_tensor(found);
  char text[2][200];
  if (expected->type != found->type || !shape_equal(&a, &b)) {
    fail_msg("%s: %s of shape %s instead of %s of shape %s", what, norma_element_type_name(found->type),
             shape_text(&b, text[0], sizeof text[0]), norma_element_type_name(expected->type),
             shape_text(&a, text[1], sizeof text[1]));
  }
  const channel_view view = view_of(expected);
  double largest = 0;
  for (int64_t c = 0; c < view.channels; c++) largest = fmax(largest, channel_magnitude(&view, c));
  for (int64_t c = 0; c < view.channels; c++) {
    const double magnitude = fmax(channel_magnitude(&view, c), bound.floor * largest);
    check_channel(what, &view, found, c, magnitude, bound.error > 0 ? bound.error * magnitude + DENORMAL_STEPS : 0);
  }
}
