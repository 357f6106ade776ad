/** Query → hits → moments. */
export { type Evidence, type Modality, type Moment, type SearchOptions, search, type TextEncoder } from './search.ts';
