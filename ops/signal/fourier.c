/* See ops/signal/fourier.h: the choice of a way, and its tables. */
#include "ops/signal/fourier.h"

#include "ops/half.h"
#include "ops/work.h"

#include <math.h>

/* ----------------------------------------------------------------------------------------------------------- choice */

/* n as a product of factors that the kernel takes; false: it is none. */
static bool fourier_factor(int64_t n, struct fft_f64 *fft) {
  static const uint8_t factors[] = {4, 2, 3, 5, 7};
  *fft = (struct fft_f64){.n = (size_t)n};
  if (n % 2 == 0 && __builtin_ctzll((unsigned long long)n) % 2 == 1) { /* a 2 comes first, as NumPy has it */
    fft->factors[fft->factor_count++] = 2;
    n /= 2;
  }
  for (size_t f = 0; f < sizeof factors;) {
    if (n % factors[f] != 0) {
      f++;
      continue;
    }
    fft->factors[fft->factor_count++] = factors[f];
    n /= factors[f];
  }
  return n == 1;
}

/* The largest divisor of n up to its root. */
static int64_t fourier_divide(int64_t n) {
  int64_t root = (int64_t)sqrt((double)n);
  while (root * root > n) root--;
  while (n % root != 0) root--;
  return root;
}

static size_t fourier_append(fourier *fourier, int64_t count) {
  const size_t at = fourier->table_count;
  fourier->table_count += (size_t)count;
  return at;
}

static int64_t fourier_twiddle_count(const struct fft_f64 *fft) {
  int64_t count = 0, before = 1;
  for (size_t f = 0; f < fft->factor_count; f++) {
    count += 2 * (fft->factors[f] - 1) * ((int64_t)fft->n / (before * fft->factors[f]));
    before *= fft->factors[f];
  }
  return count;
}

bool fourier_make(fourier *fourier, const struct kernel_table *kernels, norma_element_type type,
                  enum fourier_domain domain, bool inverse, int64_t length) {
  if (length > (int64_t)1 << 40) return false;
  *fourier = (struct fourier){.domain = domain, .inverse = inverse, .length = length};
  fourier->halved = domain != FOURIER_COMPLEX && length % 2 == 0;
  fourier->points = fourier->size = fourier->halved ? length / 2 : length;
  fourier->chirps = !fourier_factor(fourier->points, &fourier->first);
  if (fourier->chirps) {
    fourier->size = 1;
    while (fourier->size < 2 * fourier->points - 1) fourier->size *= 2;
    fourier_factor(fourier->size, &fourier->first);
  }
  fourier->is_square = fourier->size > FOURIER_MOST_LANES;
  fourier->single = type != NORMA_DOUBLE && !fourier->chirps && !fourier->is_square;
  fourier->lanes = fourier->single ? kernels->fft_f32_lanes : kernels->fft_f64_lanes;
  fourier->element_bytes = fourier->single ? sizeof(float) : sizeof(double);
  if (fourier->is_square) {
    fourier->columns = fourier_divide(fourier->size);
    fourier->rows = fourier->size / fourier->columns;
    fourier_factor(fourier->rows, &fourier->first);
    fourier_factor(fourier->columns, &fourier->second);
    fourier->fine_count = 1;
    while (fourier->fine_count * fourier->fine_count < fourier->size) fourier->fine_count *= 2;
  }
  fourier->first_at = fourier_append(fourier, fourier_twiddle_count(&fourier->first));
  if (fourier->halved) fourier->split_at = fourier_append(fourier, 2 * (fourier->points + 1));
  if (fourier->chirps) {
    fourier->chirp_at = fourier_append(fourier, 2 * fourier->points);
    fourier->spectrum_at = fourier_append(fourier, 2 * fourier->size);
  }
  if (fourier->is_square) {
    fourier->second_at = fourier_append(fourier, fourier_twiddle_count(&fourier->second));
    fourier->vectors_at = fourier_append(fourier, 2 * fourier->rows * (int64_t)fourier->lanes);
    fourier->coarse_at = fourier_append(fourier, 2 * divide_up(fourier->size, fourier->fine_count));
    fourier->fine_at = fourier_append(fourier, 2 * fourier->fine_count);
  }
  return true;
}

/* ----------------------------------------------------------------------------------------------------------- tables */

/* exp(-2 pi i k / n) for 0 <= k < n, by an angle of at most pi / 4. */
static void fourier_root(int64_t k, int64_t n, double *root) {
  const bool below = 2 * k > n;              /* the real axis: the conjugate of the result lies above */
  int64_t eighths = 8 * (below ? n - k : k); /* of 2 pi / n */
  const bool left = eighths > 2 * n;
  if (left) eighths = 4 * n - eighths;
  const bool steep = eighths > n;
  if (steep) eighths = 2 * n - eighths;
  const double angle = 0.78539816339744830962 * (double)eighths / (double)n;
  const double cosine = steep ? sin(angle) : cos(angle), sine = steep ? cos(angle) : sin(angle);
  root[0] = left ? -cosine : cosine;
  root[1] = below ? sine : -sine;
}

/* Of each factor, the powers of one root after the other. */
static void fourier_fill_twiddles(const struct fft_f64 *fft, double *twiddles) {
  int64_t before = 1;
  for (size_t f = 0; f < fft->factor_count; f++) {
    const int64_t radix = fft->factors[f], n = (int64_t)fft->n, behind = n / (before * radix);
    for (int64_t i = 0; i < behind; i++, twiddles += 2 * (radix - 1)) {
      fourier_root(i * before, n, twiddles);
      for (int64_t j = 1; j < radix - 1; j++) {
        const double *last = twiddles + 2 * (j - 1);
        twiddles[2 * j] = last[0] * twiddles[0] - last[1] * twiddles[1];
        twiddles[2 * j + 1] = last[0] * twiddles[1] + last[1] * twiddles[0];
      }
    }
    before *= radix;
  }
}

/* In place, for n a power of two: for tables, which are made once. */
static void fourier_transform_table(double *x, int64_t n) {
  for (int64_t i = 1, j = 0; i < n; i++) { /* j is i with its bits in reverse order */
    int64_t bit = n / 2;
    for (; j & bit; bit /= 2) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    for (int c = 0; c < 2; c++) {
      const double swap = x[2 * i + c];
      x[2 * i + c] = x[2 * j + c];
      x[2 * j + c] = swap;
    }
  }
  for (int64_t span = 1; span < n; span *= 2) {
    for (int64_t k = 0; k < span; k++) {
      double root[2];
      fourier_root(k, 2 * span, root);
      for (int64_t i = k; i < n; i += 2 * span) {
        double *a = x + 2 * i, *b = a + 2 * span;
        const double re = b[0] * root[0] - b[1] * root[1], im = b[0] * root[1] + b[1] * root[0];
        b[0] = a[0] - re, b[1] = a[1] - im;
        a[0] += re, a[1] += im;
      }
    }
  }
}

static void fourier_fill_chirp(const fourier *fourier, double *chirp, double *spectrum) {
  const int64_t points = fourier->points, size = fourier->size;
  memset(spectrum, 0, (size_t)(2 * size) * sizeof *spectrum);
  for (int64_t k = 0, square = 0; k < points; k++) { /* square: k^2 modulo 2 points */
    fourier_root(square, 2 * points, chirp + 2 * k);
    for (int side = 0; side < 2; side++) {
      double *to = spectrum + 2 * (side == 0 || k == 0 ? k : size - k);
      to[0] = chirp[2 * k] / (double)size;
      to[1] = -chirp[2 * k + 1] / (double)size;
    }
    square += 2 * k + 1;
    square %= 2 * points;
  }
  fourier_transform_table(spectrum, size);
}

static void fourier_fill_square(const fourier *fourier, double *tables) {
  const int64_t size = fourier->size, lanes = (int64_t)fourier->lanes;
  fourier_fill_twiddles(&fourier->second, tables + fourier->second_at);
  for (int64_t k = 0; k < fourier->rows; k++) {
    for (int64_t lane = 0; lane < lanes; lane++) {
      double root[2], *row = tables + fourier->vectors_at + 2 * k * lanes;
      fourier_root(k * lane % size, size, root);
      row[lane] = root[0];
      row[lanes + lane] = root[1];
    }
  }
  for (int64_t k = 0; k * fourier->fine_count < size; k++)
    fourier_root(k * fourier->fine_count, size, tables + fourier->coarse_at + 2 * k);
  for (int64_t k = 0; k < fourier->fine_count; k++) fourier_root(k % size, size, tables + fourier->fine_at + 2 * k);
}

void fourier_fill_tables(const fourier *fourier, void *block) {
  double *tables = block;
  fourier_fill_twiddles(&fourier->first, tables + fourier->first_at);
  for (int64_t k = 0; k <= fourier->points && fourier->halved; k++)
    fourier_root(k, fourier->length, tables + fourier->split_at + 2 * k);
  if (fourier->chirps) fourier_fill_chirp(fourier, tables + fourier->chirp_at, tables + fourier->spectrum_at);
  if (fourier->is_square) fourier_fill_square(fourier, tables);
  for (size_t i = 0; i < fourier->table_count && fourier->single; i++) {
    double wide;
    memcpy(&wide, (char *)block + i * sizeof wide, sizeof wide);
    const float narrow = (float)wide;
    memcpy((char *)block + i * sizeof narrow, &narrow, sizeof narrow);
  }
}

static void fourier_pack(void *destination, const void *argument) {
  fourier_fill_tables(argument, destination);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

/* Rows for x and y, and what elements of float and half precision go through. */
static bool fourier_lay_out_worker(fourier *fourier, norma_element_type type, size_t *total) {
  const size_t row = 2 * fourier->lanes * fourier->element_bytes;
  const int64_t points = fourier->size > fourier->length ? fourier->size : fourier->length;
  const int64_t long_side = fourier->rows > fourier->columns ? fourier->rows : fourier->columns;
  const size_t rows = (size_t)(fourier->is_square ? long_side : points) + 1;
  if (!scratch_append(total, rows, row, &fourier->x_at) || !scratch_append(total, rows, row, &fourier->y_at))
    return false;
  if (fourier->is_square) return scratch_append(total, rows, 2 * sizeof(double), &fourier->turns_at);
  if (type == NORMA_DOUBLE) return true;
  const size_t floats = 2 * fourier->lanes * sizeof(float);
  return scratch_append(total, rows, floats, &fourier->floats_at) &&
         (!is_half(type) || scratch_append(total, rows, floats, &fourier->lines_at));
}

bool fourier_lay_out(fourier *fourier, norma_element_type type, bool packed, size_t *scratch, size_t *worker_scratch) {
  size_t shared = 0, worker = 0;
  if (!fourier_lay_out_worker(fourier, type, &worker)) return false;
  if (fourier->is_square && !scratch_append(&shared, (size_t)fourier->size, 4 * sizeof(double), &fourier->signal_at))
    return false;
  if (!packed && !scratch_append(&shared, fourier->table_count, sizeof(double), &fourier->tables_at)) return false;
  if (*scratch < shared) *scratch = shared;
  if (*worker_scratch < worker) *worker_scratch = worker;
  return true;
}

norma_status fourier_prepare(prepare_context *context, fourier *fourier, norma_element_type type, bool fixed) {
  if (!fourier_lay_out(fourier, type, fixed, &context->scratch_bytes, &context->worker_scratch_bytes))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "signals of this length are too long");
  context->kernel_name = fourier->chirps ? "chirp" : fourier->is_square ? "four steps" : "lanes";
  if (!fixed) return NORMA_OK;
  const uint64_t key = (uint64_t)fourier->length * 8 + (uint64_t)fourier->domain * 2 + fourier->single;
  const void *packed;
  TRY(prepare_packed(context, key, fourier->table_count * sizeof(double), fourier_pack, fourier, &packed));
  fourier->packed = packed;
  return NORMA_OK;
}
