#include "ops/strided.h"

void strided_add_broadcast(strided *walk, const void *data, size_t element_bytes, int rank, const int64_t *dims) {
  const int operand = walk->operands++;
  walk->data[operand] = tensor_read_only(data);
  walk->element_bytes[operand] = element_bytes;
  int64_t stride = 1;
  for (int i = walk->rank - 1; i >= 0; i--) {
    const int own = i - (walk->rank - rank);
    const int64_t size = own >= 0 ? dims[own] : 1;
    walk->strides[operand][i] = size == 1 ? 0 : stride;
    stride *= size;
  }
}

static bool strided_mergeable(const strided *walk, int outer, int inner) {
  for (int k = 0; k < walk->operands; k++) {
    if (walk->strides[k][outer] != walk->strides[k][inner] * walk->dims[inner]) return false;
  }
  return true;
}

void strided_collapse(strided *walk) {
  int kept = 0;
  for (int i = 0; i < walk->rank; i++) {
    if (walk->dims[i] == 0) {
      walk->rank = 1;
      walk->dims[0] = 0;
      return;
    }
    if (walk->dims[i] == 1) continue;
    walk->dims[kept] = walk->dims[i];
    for (int k = 0; k < walk->operands; k++) walk->strides[k][kept] = walk->strides[k][i];
    if (kept > 0 && strided_mergeable(walk, kept - 1, kept)) {
      walk->dims[kept - 1] *= walk->dims[kept];
      for (int k = 0; k < walk->operands; k++) walk->strides[k][kept - 1] = walk->strides[k][kept];
    } else {
      kept++;
    }
  }
  if (kept == 0) { /* a single element */
    walk->dims[0] = 1;
    for (int k = 0; k < walk->operands; k++) walk->strides[k][0] = 0;
    kept = 1;
  }
  walk->rank = kept;
}

/* -------------------------------------------------------------------------------------------------- walking in rows */

typedef struct strided_job {
  const strided *walk;
  strided_row *row;
  void *argument;
  int64_t segments; /* pieces of one row */
  int64_t segment_length;
} strided_job;

static void strided_body(void *argument, int64_t begin, int64_t end, int worker) {
  const strided_job *job = argument;
  const strided *walk = job->walk;
  const int inner = walk->rank - 1, operands = walk->operands;
  int64_t counters[STRIDED_MAX_RANK] = {0}, offsets[STRIDED_OPERANDS] = {0}, steps[STRIDED_OPERANDS];
  int64_t segment = begin % job->segments, outer = begin / job->segments;
  (void)worker;
  for (int i = inner - 1; i >= 0; i--) {
    counters[i] = outer % walk->dims[i];
    outer /= walk->dims[i];
    for (int k = 0; k < operands; k++) offsets[k] += counters[i] * walk->strides[k][i];
  }
  for (int k = 0; k < operands; k++) steps[k] = walk->strides[k][inner] * (int64_t)walk->element_bytes[k];
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t first = segment * job->segment_length, left = walk->dims[inner] - first;
    char *pointers[STRIDED_OPERANDS];
    for (int k = 0; k < operands; k++) {
      pointers[k] = walk->data[k] + offsets[k] * (int64_t)walk->element_bytes[k] + first * steps[k];
    }
    job->row(job->argument, pointers, steps, left < job->segment_length ? left : job->segment_length);
    if (++segment < job->segments) continue;
    segment = 0;
    for (int i = inner - 1; i >= 0; i--) {
      counters[i]++;
      for (int k = 0; k < operands; k++) offsets[k] += walk->strides[k][i];
      if (counters[i] < walk->dims[i]) break;
      for (int k = 0; k < operands; k++) offsets[k] -= counters[i] * walk->strides[k][i];
      counters[i] = 0;
    }
  }
}

norma_status strided_run(run_context *context, strided *walk, strided_row *row, void *argument) {
  strided_collapse(walk);
  const int64_t length = walk->dims[walk->rank - 1], grain = walk->grain > 0 ? walk->grain : STRIDED_GRAIN;
  if (length == 0) return NORMA_OK;
  strided_job job = {walk, row, argument, 1, length};
  if (length > 2 * grain) {
    job.segment_length = grain;
    job.segments = (length + grain - 1) / grain;
  }
  const int64_t units = dims_product(walk->dims, 0, walk->rank - 1) * job.segments;
  const int64_t units_per_call = job.segments > 1 || length >= grain ? 1 : grain / length;
  return run_parallel(context, units, units_per_call, strided_body, &job);
}

/* ---------------------------------------------------------------------------------------------------------- copying */

typedef struct {
  uint64_t half[2];
} bytes16;

/* X(bytes, type of that size without padding) */
#define STRIDED_SIZES(X) X(1, uint8_t) X(2, uint16_t) X(4, uint32_t) X(8, uint64_t) X(16, bytes16)

/* memcpy of a known size: elements of complex and string types are aligned less than their size. */
#define STRIDED_COPY_ROW(bytes, type)                                                                                  \
  static void copy_row_##bytes(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {           \
    char *target = pointers[0];                                                                                        \
    const char *source = pointers[1];                                                                                  \
    (void)argument;                                                                                                    \
    if (steps[0] == bytes && steps[1] == bytes) {                                                                      \
      memcpy(target, source, (size_t)count *bytes);                                                                    \
      return;                                                                                                          \
    }                                                                                                                  \
    if (steps[1] == 0) {                                                                                               \
      type item;                                                                                                       \
      memcpy(&item, source, bytes);                                                                                    \
      for (int64_t i = 0; i < count; i++) memcpy(target + i * steps[0], &item, bytes);                                 \
      return;                                                                                                          \
    }                                                                                                                  \
    for (int64_t i = 0; i < count; i++) memcpy(target + i * steps[0], source + i * steps[1], bytes);                   \
  }                                                                                                                    \
  /* target[j * row_step + i] = source[i * source_row_step + j], steps in elements */                                  \
  static void transpose_tile_##bytes(char *target, int64_t target_row_step, const char *source,                        \
                                     int64_t source_row_step, int64_t rows, int64_t columns) {                         \
    for (int64_t j = 0; j < columns; j++) {                                                                            \
      for (int64_t i = 0; i < rows; i++) {                                                                             \
        memcpy(target + (j * target_row_step + i) * bytes, source + (i * source_row_step + j) * bytes, bytes);         \
      }                                                                                                                \
    }                                                                                                                  \
  }
STRIDED_SIZES(STRIDED_COPY_ROW)

#define STRIDED_TILE   32
#define TRANSPOSE_UNIT 16384 /* elements of one unit of work, about */

typedef struct transpose_job {
  const strided *walk; /* the last dimension is contiguous in the target, the one before in the source */
  const struct kernel_table *kernels;
  int64_t band, bands; /* rows of the target in a band, bands of a plane */
  int64_t part, parts; /* columns of the target in a part, parts of a band */
} transpose_job;

static void transpose_tile(const transpose_job *job, char *target, int64_t target_step, const char *source,
                           int64_t source_step, int64_t rows, int64_t columns) {
  switch (job->walk->element_bytes[0]) {
#define STRIDED_TILE_CASE(bytes, type)                                                                                 \
  case bytes:                                                                                                          \
    transpose_tile_##bytes(target, target_step, source, source_step, rows, columns);                                   \
    break;
    STRIDED_SIZES(STRIDED_TILE_CASE)
#undef STRIDED_TILE_CASE
  default:
    break;
  }
}

static void transpose_body(void *argument, int64_t begin, int64_t end, int worker) {
  const transpose_job *job = argument;
  const strided *walk = job->walk;
  const int last = walk->rank - 1, before = walk->rank - 2;
  const int64_t bytes = (int64_t)walk->element_bytes[0];
  const int64_t target_step = walk->strides[0][before], source_step = walk->strides[1][last];
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t first_row = unit % job->parts * job->part, first = unit / job->parts % job->bands * job->band;
    int64_t plane = unit / job->parts / job->bands;
    int64_t target_offset = first * target_step + first_row, source_offset = first + first_row * source_step;
    for (int i = before - 1; i >= 0; i--) {
      target_offset += plane % walk->dims[i] * walk->strides[0][i];
      source_offset += plane % walk->dims[i] * walk->strides[1][i];
      plane /= walk->dims[i];
    }
    const int64_t columns = walk->dims[before] - first < job->band ? walk->dims[before] - first : job->band;
    const int64_t rows = walk->dims[last] - first_row < job->part ? walk->dims[last] - first_row : job->part;
    char *target = walk->data[0] + target_offset * bytes;
    const char *source = walk->data[1] + source_offset * bytes;
    if (bytes == 4 && source_step > 0) {
      job->kernels->transpose_32(target, (size_t)target_step, source, (size_t)source_step, (size_t)rows,
                                 (size_t)columns);
      continue;
    }
    for (int64_t i = 0; i < rows; i += STRIDED_TILE) {
      for (int64_t j = 0; j < columns; j += STRIDED_TILE) {
        transpose_tile(job, target + (i + j * target_step) * bytes, target_step, source + (i * source_step + j) * bytes,
                       source_step, rows - i < STRIDED_TILE ? rows - i : STRIDED_TILE,
                       columns - j < STRIDED_TILE ? columns - j : STRIDED_TILE);
      }
    }
  }
}

/* The dimension along which the source is contiguous, moved to the last but one place; false where tiles do not help.
 */
static bool transpose_arrange(strided *walk) {
  const int last = walk->rank - 1;
  if (walk->rank < 2 || walk->strides[0][last] != 1 || walk->strides[1][last] == 1 || walk->strides[1][last] == 0) {
    return false;
  }
  int contiguous = -1;
  for (int i = 0; i < last; i++) {
    if (walk->strides[1][i] == 1 && walk->strides[0][i] > 0) contiguous = i;
  }
  const int64_t least = walk->element_bytes[0] == 4 ? 2 : 4;
  if (contiguous < 0 || walk->dims[contiguous] < least || walk->dims[last] < least) return false;
  const int64_t size = walk->dims[contiguous], target_stride = walk->strides[0][contiguous];
  for (int i = contiguous; i < last - 1; i++) {
    walk->dims[i] = walk->dims[i + 1];
    for (int k = 0; k < 2; k++) walk->strides[k][i] = walk->strides[k][i + 1];
  }
  walk->dims[last - 1] = size;
  walk->strides[0][last - 1] = target_stride;
  walk->strides[1][last - 1] = 1;
  return true;
}

norma_status strided_copy(run_context *context, strided *walk) {
  strided_row *row;
  switch (walk->element_bytes[0]) {
#define STRIDED_ROW_CASE(bytes, type)                                                                                  \
  case bytes:                                                                                                          \
    row = copy_row_##bytes;                                                                                            \
    break;
    STRIDED_SIZES(STRIDED_ROW_CASE)
#undef STRIDED_ROW_CASE
  default:
    return run_fail(context, NORMA_ERROR_INTERNAL, "elements of %zu bytes cannot be copied", walk->element_bytes[0]);
  }
  if (walk->grain == 0) walk->grain = (int64_t)(64 * 1024 / walk->element_bytes[0]);
  strided_collapse(walk);
  if (walk->dims[walk->rank - 1] == 0) return NORMA_OK;
  if (!transpose_arrange(walk)) return strided_run(context, walk, row, NULL);
  const int last = walk->rank - 1, before = last - 1;
  transpose_job job = {.walk = walk, .kernels = context->kernels};
  const int64_t rows = walk->dims[last], columns = walk->dims[before];
  job.band = rows < TRANSPOSE_UNIT / STRIDED_TILE ? TRANSPOSE_UNIT / rows / STRIDED_TILE * STRIDED_TILE : STRIDED_TILE;
  if (job.band > columns) job.band = columns;
  job.part = job.band > STRIDED_TILE ? rows : TRANSPOSE_UNIT / STRIDED_TILE;
  if (job.part > rows) job.part = rows;
  job.bands = (columns + job.band - 1) / job.band;
  job.parts = (rows + job.part - 1) / job.part;
  const int64_t units = dims_product(walk->dims, 0, before) * job.bands * job.parts, per_unit = job.band * job.part;
  return run_parallel(context, units, per_unit >= walk->grain ? 1 : walk->grain / per_unit, transpose_body, &job);
}

void strided_fill(void *target, const void *element, size_t element_bytes, int64_t count) {
  char *bytes = target;
  if (count <= 0) return;
  if (element_bytes == 1) {
    memset(target, *(const unsigned char *)element, (size_t)count);
    return;
  }
  /* Some elements one by one, which are then copied more and more at a time. */
  size_t done = 0;
  const size_t total = (size_t)count * element_bytes, most = 4096;
  for (; done < total && done < 4 * element_bytes; done += element_bytes) memcpy(bytes + done, element, element_bytes);
  while (done < total) {
    size_t piece = done < most ? done : most / element_bytes * element_bytes;
    if (piece > total - done) piece = total - done;
    memcpy(bytes + done, bytes, piece);
    done += piece;
  }
}
