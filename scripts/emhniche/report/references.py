"""Which papers does the methods text cite?"""

REFERENCES = {
    "panel": (
        "Barisas DAG, Choi K. Extramedullary hematopoiesis in cancer. Exp Mol Med 2024.",
        "10.1038/s12276-024-01192-4",
    ),
    "snakemake": (
        "Mölder F et al. Sustainable data analysis with Snakemake. F1000Research 2021.",
        "10.12688/f1000research.29032.2",
    ),
    "scanpy": (
        "Wolf FA, Angerer P, Theis FJ. SCANPY: large-scale single-cell gene expression data "
        "analysis. Genome Biol 2018.",
        "10.1186/s13059-017-1382-0",
    ),
    "scrublet": (
        "Wolock SL, Lopez R, Klein AM. Scrublet. Cell Syst 2019.",
        "10.1016/j.cels.2018.11.005",
    ),
    "scdblfinder": (
        "Germain P-L et al. Doublet identification in single-cell sequencing data using "
        "scDblFinder. F1000Research 2021.",
        "10.12688/f1000research.73600.1",
    ),
    "soupx": (
        "Young MD, Behjati S. SoupX removes ambient RNA contamination from droplet-based "
        "single-cell RNA sequencing data. GigaScience 2020.",
        "10.1093/gigascience/giaa151",
    ),
    "cellbender": (
        "Fleming SJ et al. Unsupervised removal of systematic background noise from droplet-based "
        "single-cell experiments using CellBender. Nat Methods 2023.",
        "10.1038/s41592-023-01943-7",
    ),
    "scvi": (
        "Lopez R et al. Deep generative modeling for single-cell transcriptomics. Nat Methods "
        "2018.",
        "10.1038/s41592-018-0229-2",
    ),
    "scanvi": (
        "Xu C et al. Probabilistic harmonization and annotation of single-cell transcriptomics "
        "data with deep generative models. Mol Syst Biol 2021.",
        "10.15252/msb.20209620",
    ),
    "harmony": (
        "Korsunsky I et al. Fast, sensitive and accurate integration of single-cell data with "
        "Harmony. Nat Methods 2019.",
        "10.1038/s41592-019-0619-0",
    ),
    "scvi-tools": (
        "Gayoso A et al. A Python library for probabilistic analysis of single-cell omics data. "
        "Nat Biotechnol 2022.",
        "10.1038/s41587-021-01206-w",
    ),
    "leiden": (
        "Traag VA, Waltman L, van Eck NJ. From Louvain to Leiden. Sci Rep 2019.",
        "10.1038/s41598-019-41695-z",
    ),
    "hennig": (
        "Hennig C. Cluster-wise assessment of cluster stability. Comput Stat Data Anal 2007.",
        "10.1016/j.csda.2006.11.025",
    ),
    "cuml": (
        "Nolet CJ et al. Bringing UMAP closer to the speed of light with GPU acceleration. "
        "AAAI 2021.",
        "10.1609/aaai.v35i1.16118",
    ),
    "umap": ("McInnes L, Healy J, Melville J. UMAP. 2018.", "10.48550/arXiv.1802.03426"),
    "ucell": (
        "Andreatta M, Carmona SJ. UCell. Comput Struct Biotechnol J 2021.",
        "10.1016/j.csbj.2021.06.043",
    ),
    "tirosh": (
        "Tirosh I et al. Dissecting the multicellular ecosystem of metastatic melanoma by "
        "single-cell RNA-seq. Science 2016.",
        "10.1126/science.aad0501",
    ),
    "brink": (
        "van den Brink SC et al. Single-cell sequencing reveals dissociation-induced gene "
        "expression in tissue subpopulations. Nat Methods 2017.",
        "10.1038/nmeth.4437",
    ),
    "celltypist": (
        "Domínguez Conde C et al. Cross-tissue immune cell analysis reveals tissue-specific "
        "features in humans. Science 2022.",
        "10.1126/science.abl5197",
    ),
    "smyth": (
        "Smyth GK. Linear models and empirical Bayes methods for assessing differential expression "
        "in microarray experiments. Stat Appl Genet Mol Biol 2004.",
        "10.2202/1544-6115.1027",
    ),
    "mixed": (
        "Laird NM, Ware JH. Random-effects models for longitudinal data. Biometrics 1982.",
        "10.2307/2529876",
    ),
    "squair": (
        "Squair JW et al. Confronting false discoveries in single-cell differential expression. "
        "Nat Commun 2021.",
        "10.1038/s41467-021-25960-2",
    ),
    "voom": (
        "Law CW et al. voom: precision weights unlock linear model analysis tools for RNA-seq read "
        "counts. Genome Biol 2014.",
        "10.1186/gb-2014-15-2-r29",
    ),
    "deseq2": (
        "Love MI, Huber W, Anders S. Moderated estimation of fold change and dispersion for "
        "RNA-seq data with DESeq2. Genome Biol 2014.",
        "10.1186/s13059-014-0550-8",
    ),
    "pydeseq2": (
        "Muzellec B et al. PyDESeq2: a Python package for bulk RNA-seq differential expression "
        "analysis. Bioinformatics 2023.",
        "10.1093/bioinformatics/btad547",
    ),
    "propeller": (
        "Phipson B et al. propeller: testing for differences in cell type proportions in single "
        "cell data. Bioinformatics 2022.",
        "10.1093/bioinformatics/btac582",
    ),
    "bh": (
        "Benjamini Y, Hochberg Y. Controlling the false discovery rate. J R Stat Soc B 1995.",
        "10.1111/j.2517-6161.1995.tb02031.x",
    ),
    "mdsc": (
        "Alshetaiwi H et al. Defining the emergence of myeloid-derived suppressor cells in breast "
        "cancer using single-cell transcriptomics. Sci Immunol 2020.",
        "10.1126/sciimmunol.aay6017",
    ),
    "neutrotime": (
        "Grieshaber-Bouyer R et al. The neutrotime transcriptional signature defines a single "
        "continuum of neutrophils across biological compartments. Nat Commun 2021.",
        "10.1038/s41467-021-22973-9",
    ),
    "target_decoy": (
        "Elias JE, Gygi SP. Target-decoy search strategy for increased confidence in large-scale "
        "protein identifications by mass spectrometry. Nat Methods 2007.",
        "10.1038/nmeth1019",
    ),
    "conformal": (
        "Bates S et al. Testing for outliers with conformal p-values. Ann Stat 2023.",
        "10.1214/22-AOS2244",
    ),
}
"""Key -> how the work is cited, and its DOI."""
