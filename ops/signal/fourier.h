/*
 * Discrete Fourier transforms of any length in O(n log n).
 *
 * Lengths that are products of 2, 3, 5 and 7 are transformed by mixed radices; others become a cyclic convolution with
 * a chirp (Bluestein) whose length is a power of two. Real signals of even length are taken as complex ones of half the
 * length. Up to FOURIER_MOST_LANES points, signals are transformed side by side in vector lanes; longer ones one by
 * one, as a matrix whose columns and rows are transformed in lanes (the four-step method). All this is decided by the
 * length and the type, so a signal's result does not depend on those beside it.
 *
 * float and half precision are computed in float with factors that are rounded from double, as NumPy and PyTorch do;
 * double, convolutions and long signals in double.
 *
 * Use: fourier_make, then fourier_prepare in prepare, fourier_run in compute.
 */
#ifndef OPS_SIGNAL_FOURIER_H
#define OPS_SIGNAL_FOURIER_H

#include "ops/operator.h"

#define FOURIER_MOST_LANES 4096

enum fourier_domain {
  FOURIER_COMPLEX,   /* complex signals, or real ones that are taken as complex */
  FOURIER_FROM_REAL, /* real signals to their spectra, forward */
  FOURIER_TO_REAL    /* the first length / 2 + 1 numbers of a spectrum to a real signal, inverse */
};

typedef struct fourier {
  enum fourier_domain domain;
  bool inverse;
  int64_t length;

  /* How: */
  bool halved;           /* pairs of real elements are complex ones */
  bool chirps;           /* by convolution */
  bool is_square;        /* one signal at a time: */
  int64_t rows, columns; /* rows * columns points */
  int64_t points;        /* complex numbers that are transformed */
  int64_t size;          /* of the mixed-radix transform; points, unless chirps */
  bool single;           /* in float */
  size_t lanes;
  size_t element_bytes;         /* of rows, and of tables */
  struct fft_f64 first, second; /* of `size`, or of columns and of rows; twiddles are set by fourier_run */

  /* Places in the tables, in elements: */
  size_t first_at, second_at; /* twiddles */
  size_t split_at;            /* exp(-2 pi i k / length), k <= points: of halved signals */
  size_t chirp_at;            /* exp(-pi i k^2 / points), k < points */
  size_t spectrum_at;         /* the transform of the chirp's conjugate, over size */
  size_t vectors_at;          /* exp(-2 pi i k lane / size), k < rows */
  size_t coarse_at, fine_at;  /* exp(-2 pi i k / size) for multiples of fine_count, and below it */
  int64_t fine_count;
  size_t table_count;

  const double *packed;                             /* the tables; NULL: made in each run, in scratch */
  size_t tables_at, signal_at;                      /* in scratch */
  size_t x_at, y_at, floats_at, lines_at, turns_at; /* in worker scratch */
} fourier;

/* Signals of one tensor and where their transforms go; distances count scalars (a complex element has two). */
typedef struct fourier_job {
  norma_element_type type; /* float, double, float16, bfloat16 */
  const void *input;
  void *output;
  int components_in, components_out; /* 1 or 2 scalars of an element */
  int64_t step_in, step_out;         /* between elements of a signal */
  int64_t available;                 /* elements of the input; further ones are 0 */
  int64_t outputs;                   /* elements of the output */
  double scale;
  const void *window; /* float, or double for double: a factor for each element of real input; NULL: none */

  int64_t signals; /* signal s begins at s / group * major + s % group * minor */
  int64_t group, major_in, minor_in, major_out, minor_out;
} fourier_job;

/* Chooses how; length > 0. false: too long. */
bool fourier_make(fourier *fourier, const struct kernel_table *kernels, norma_element_type type,
                  enum fourier_domain domain, bool inverse, int64_t length);
/* Sets the places in scratch, for signals of this type; their sizes go to *scratch and *worker_scratch where these are
 * smaller. `packed`: tables take no scratch. false: overflow. */
bool fourier_lay_out(fourier *fourier, norma_element_type type, bool packed, size_t *scratch, size_t *worker_scratch);
/* Asks for scratch. `fixed`: the model knows the length, so that tables are kept with it. */
norma_status fourier_prepare(prepare_context *context, fourier *fourier, norma_element_type type, bool fixed);
norma_status fourier_run(run_context *context, const fourier *fourier, const fourier_job *job);

/* Fills room for fourier->table_count doubles; tables of float take half of it. */
void fourier_fill_tables(const fourier *fourier, void *tables);

#endif
