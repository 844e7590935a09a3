// The page of one transaction is read, and copied from.

import { enableCopying } from "./live.js";

enableCopying();
